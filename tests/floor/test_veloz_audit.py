"""VeloZ's audit log: its lines, and what its API finds of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeline.floor.log_line import LineWriter
from tapeline.floor.veloz import audit as audit_module
from tapeline.floor.veloz.audit import LOG_TYPES, AuditLog, AuditQuery


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    """A log with three entries of each type."""
    with LineWriter(tmp_path / "audit.log") as lines:
        log = AuditLog(lines)
        for number in range(3):
            for log_type in LOG_TYPES:
                log.write(log_type, f"did_{number}", f"req-{number}", user_id=f"user-{number}")
        yield log


def test_a_line_has_the_guides_fields(tmp_path: Path) -> None:
    """Epoch and ISO time, type, action, user, address, details and request id."""
    with LineWriter(tmp_path / "audit.log") as lines:
        AuditLog(lines).write("auth", "login_success", "req-1", "admin", auth_method="jwt")
    entry = json.loads((tmp_path / "audit.log").read_text())
    assert list(entry) == [
        "timestamp",
        "datetime",
        "log_type",
        "action",
        "user_id",
        "ip_address",
        "details",
        "request_id",
    ]
    assert isinstance(entry["timestamp"], float)
    assert entry["datetime"].endswith("Z")
    assert entry["details"] == {"auth_method": "jwt"}


@pytest.mark.parametrize(
    ("query", "total"),
    [
        (AuditQuery(), 15),
        (AuditQuery(log_type="auth"), 3),
        (AuditQuery(user_id="user-1"), 5),
        (AuditQuery(action="did_2", log_type="order"), 1),
        (AuditQuery(start_time=4e9), 0),
        (AuditQuery(end_time=0.0), 0),
    ],
)
def test_entries_are_found_by_each_parameter(
    audit: AuditLog, query: AuditQuery, total: int
) -> None:
    """Type, user, action and both ends of a time range leave out what they do not name."""
    assert audit.find(query)["total"] == total


def test_both_ends_of_a_range_belong_to_it(audit: AuditLog) -> None:
    """An entry of exactly the time that is asked for is found."""
    stamp = audit.entries[7]["timestamp"]
    assert isinstance(stamp, float)

    found = audit.find(AuditQuery(start_time=stamp, end_time=stamp))["logs"]
    assert isinstance(found, list)
    assert audit.entries[7] in found


def test_the_oldest_entries_leave_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file keeps them."""
    monkeypatch.setattr(audit_module, "ENTRIES_MAX", 3)
    path = tmp_path / "audit.log"
    with LineWriter(path) as lines:
        log = AuditLog(lines)
        for number in range(5):
            log.write("order", f"did_{number}", "req")

    assert [each["action"] for each in log.entries] == ["did_2", "did_3", "did_4"]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5


def test_pages_follow_each_other(audit: AuditLog) -> None:
    """Limit and offset cut pages out of the same order, the latest first."""
    whole = audit.find(AuditQuery(limit=1_000))["logs"]
    first, second = (audit.find(AuditQuery(limit=8, offset=at))["logs"] for at in (0, 8))
    assert isinstance(whole, list)
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first + second == whole
    assert whole[0]["action"] == "did_2"


def test_a_limit_is_bounded(audit: AuditLog) -> None:
    """Whoever asks for more than 1000 entries gets 1000, for none one."""
    assert audit.find(AuditQuery(limit=10**9))["limit"] == 1_000
    assert audit.find(AuditQuery(limit=-5))["limit"] == 1


def test_statistics_and_archive_count(audit: AuditLog) -> None:
    """Each type is counted with its retention; what was archived is not archived again."""
    stats = audit.stats()
    assert stats["by_type"] == dict.fromkeys(LOG_TYPES, 3)
    assert stats["retention_days"] == {
        "auth": 90,
        "order": 365,
        "api_key": 365,
        "error": 30,
        "access": 14,
    }
    assert audit.archive() == {"ok": True, "archived": 15}
    assert audit.archive() == {"ok": True, "archived": 0}
    assert audit.stats()["archived"] == 15
