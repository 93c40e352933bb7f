"""`tapeline alert test`: what can't be sent is told before anything is."""

import pytest

from tapeline.alerting.command import alert_from


@pytest.mark.parametrize(
    ("name", "severity", "labels", "told"),
    [
        ("\udcff", "info", (), "--alertname '\\\\udcff' is not UTF-8"),
        ("A", "\udcff", (), "--severity '\\\\udcff' is not UTF-8"),
        ("A", "info", ("team=\udcff",), "--label 'team=\\\\udcff' is not UTF-8"),
        ("A", "info", ("alertname=\udcff",), "--label 'alertname=\\\\udcff' is not UTF-8"),
    ],
)
def test_a_text_that_is_not_utf8_makes_no_alert(
    name: str, severity: str, labels: tuple[str, ...], told: str
) -> None:
    """Bytes of a command line that are none: Alertmanager could not be asked for it afterwards."""
    with pytest.raises(ValueError, match=told):
        alert_from(name, severity, labels, 60.0)


def test_a_label_goes_before_an_option() -> None:
    """An alert has the name and labels that were given last, and none that is empty."""
    alert = alert_from("A", "info", ("alertname=B", "team="), 60.0)

    assert alert.labels["alertname"] == "B"
    assert "team" not in alert.labels
