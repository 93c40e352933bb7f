"""The page `/tap`: asks for a token, and shows what passes.

It comes without any data. What it gets by its script becomes text of elements, never markup; the
token stays in the page's memory and goes out in one header, to the server that the page is from.
"""

from typing import Final

from tapeline.admin.pages import STYLE, policy_headers
from tapeline.otlp.signals import Signal
from tapeline.pipeline.markup import Markup, element, joined

__all__ = ["PAGE_HEADERS", "page_text"]

_OWN_STYLE: Final = """
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: 1rem 0; }
label { display: flex; flex-direction: column; font-size: .85rem; gap: .2rem; }
input, select, button { font: inherit; padding: .3rem .5rem; height: 2.2rem;
  box-sizing: border-box; }
#records details { border: 0; }
#records { list-style: none; padding: 0; }
#records > li { border-bottom: 1px solid var(--line); padding: .45rem 0; }
.head { display: flex; flex-wrap: wrap; gap: .1rem .8rem; align-items: baseline; }
.head time { font: 13px/1.4 ui-monospace, monospace; white-space: nowrap; }
.head b { overflow-wrap: anywhere; }
.tag { font-size: .8rem; border: 1px solid var(--line); border-radius: 4px; padding: 0 .35rem; }
.body { overflow-wrap: anywhere; white-space: pre-wrap; margin: .15rem 0; max-height: 9rem;
  overflow-y: auto; }
table.change { margin: .3rem 0 .3rem 1rem; width: calc(100% - 1rem); }
table.change td, table.fields td { overflow-wrap: anywhere; white-space: pre-wrap; }
table.change td:first-child, table.fields td:first-child { width: 16rem; }
"""
_SCRIPT: Final = """
"use strict";
(() => {
  const MOST = 200;
  const by = (id) => document.getElementById(id);
  const list = by("records");
  const state = by("live");
  let reading = null;
  let token = "";
  let paused = false;
  let held = [];
  const tell = (text, isBad) => {
    state.textContent = ` ${text}`;
    state.className = isBad ? "bad" : "";
  };
  const make = (name, text, kind) => {
    const one = document.createElement(name);
    if (text !== undefined && text !== null) one.textContent = text;
    if (kind) one.className = kind;
    return one;
  };
  // What can't be seen, or turns what follows it around, is spelt out.
  const visible = (text) => text.replace(/[\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}]/gu, (one) =>
    one === "\\n" ? one : `\\\\u${one.codePointAt(0).toString(16).padStart(4, "0")}`);
  const row = (cells) => {
    const line = make("tr");
    for (const cell of cells) {
      line.append(make("td", cell === null ? "-" : visible(cell), cell === null ? "soft" : ""));
    }
    return line;
  };
  const table = (kind, heads, rows) => {
    const one = make("table", null, kind);
    const head = make("tr");
    for (const text of heads) head.append(make("th", text));
    one.append(head, ...rows);
    return one;
  };
  const record = (told) => {
    const item = make("li");
    const head = make("div", null, "head");
    head.append(make("time", told.time.slice(11, 26)), make("span", told.signal, "tag"));
    head.append(make("span", visible(told.service)), make("b", visible(told.name)));
    if (told.fate !== "kept") head.append(make("span", told.fate, "tag warn"));
    item.append(head);
    const body = told.fields.body;
    if (body !== undefined && !told.changed.some((one) => one.field === "body")) {
      item.append(make("p", visible(body), "body"));
    }
    if (told.changed.length) {
      item.append(table("change", ["field", "behind the redaction", "as it left"],
        told.changed.map((one) => row([one.field, one.before, one.after]))));
    }
    const more = make("details");
    more.append(make("summary", "all fields"));
    more.addEventListener("toggle", () => {
      if (more.open && more.children.length === 1) {
        more.append(table("fields", ["field", "value"], Object.entries(told.fields).map(row)));
      }
    });
    item.append(more);
    return item;
  };
  const show = () => {
    if (paused) return;
    for (const told of held) list.prepend(record(told));
    held = [];
    while (list.children.length > MOST) list.lastElementChild.remove();
  };
  const take = (event) => {
    let kind = "";
    let data = "";
    for (const line of event.split("\\n")) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      if (line.startsWith("data: ")) data = line.slice(6);
    }
    if (kind === "record") {
      held.push(JSON.parse(data));
      if (held.length > MOST) held.shift();
    } else if (kind === "counts") {
      const told = JSON.parse(data);
      for (const [key, value] of Object.entries(told)) {
        const place = by(`count-${key}`);
        if (place) place.textContent = value.toLocaleString("en");
      }
      tell(paused ? "Paused." : "Live.", false);
    }
  };
  const read = async (stream) => {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\\n\\n");
      rest = events.pop();
      events.forEach(take);
      show();
    }
  };
  const look = async () => {
    reading?.abort();
    const mine = reading = new AbortController();
    const query = new URLSearchParams();
    for (const key of ["service", "signal", "name"]) {
      if (by(key).value) query.set(key, by(key).value);
    }
    while (reading === mine) {
      try {
        const answer = await fetch(`tap/events?${query}`, {
          headers: { Authorization: `Bearer ${token}` }, signal: mine.signal,
          cache: "no-store", credentials: "omit", redirect: "error",
        });
        if (!answer.ok) {
          tell(`${answer.status}: ${await answer.text()}`, true);
          if (answer.status !== 503) return;
        } else {
          tell("Live.", false);
          await read(answer.body);
          tell("The stream ended; trying again.", true);
        }
      } catch (error) {
        if (mine.signal.aborted) return;
        tell("No connection; trying again.", true);
      }
      await new Promise((go) => setTimeout(go, 3000));
    }
  };
  by("look").addEventListener("submit", (event) => {
    event.preventDefault();
    if (by("token").value) { token = by("token").value.trim(); by("token").value = ""; }
    list.replaceChildren();
    held = [];
    look();
  });
  by("pause").addEventListener("click", () => {
    paused = !paused;
    by("pause").textContent = paused ? "Go on" : "Pause";
    if (reading && paused) tell("Paused.", false);
    show();
  });
})();
"""
_COUNTS: Final = {
    "passed": "passed",
    "shown": "shown",
    "left_out": "wanted, left out",
    "not_examined": "not looked at",
    "withheld": "withheld",
    "workers": "workers",
}
_STYLE: Final = STYLE + _OWN_STYLE

PAGE_HEADERS: Final = policy_headers(_STYLE, (_SCRIPT,), connects=True)


def page_text() -> str:
    """Return the whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Tap · Tapeline"),
        element("style", Markup(_STYLE)),
    )
    counts = (
        element("div", element("dt", told), element("dd", "-", id=f"count-{key}"))
        for key, told in _COUNTS.items()
    )
    inside = element(
        "body",
        element("h1", "Tap", element("small", id="live", role="status")),
        element(
            "p",
            "A sample of what passes the gate, behind the redaction. Where the redaction took"
            " something, dots stand for what was there.",
            class_="soft",
        ),
        _form(),
        element("dl", *counts),
        element("ul", id="records"),
        element("script", Markup(_SCRIPT)),
    )
    return joined(Markup("<!doctype html>\n"), element("html", head, inside, lang="en"), "\n")


def _form() -> Markup:
    signals = (element("option", signal.value, value=signal.value) for signal in Signal)
    return element(
        "form",
        element(
            "label",
            "Token",
            element("input", id="token", type="password", autocomplete="off", spellcheck="false"),
        ),
        element("label", "Service", element("input", id="service", maxlength="200")),
        element(
            "label",
            "Signal",
            element("select", element("option", "all", value=""), *signals, id="signal"),
        ),
        element("label", "Name or body has", element("input", id="name", maxlength="200")),
        element("button", "Look", type="submit"),
        element("button", "Pause", type="button", id="pause"),
        id="look",
    )
