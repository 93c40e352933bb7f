"""Every dashboard, and the files that they become."""

from pathlib import Path
from typing import Final

import yaml

from dashboards.b25_business import B25_ACTIVITY, B25_FEES, B25_PNL, B25_STRATEGIES
from dashboards.b25_health import B25_ALERTS, B25_DISCOVERY, B25_INFRASTRUCTURE, B25_OVERVIEW
from dashboards.b25_performance import B25_ERRORS, B25_LATENCY, B25_THROUGHPUT
from dashboards.b25_services import B25_SERVICE_BOARDS
from dashboards.build import board_json
from dashboards.ktrdr import KTRDR
from dashboards.model import Board
from dashboards.own_alerts import ALERTS
from dashboards.own_execution import EXECUTION
from dashboards.own_infrastructure import INFRASTRUCTURE
from dashboards.own_logs import LOGS
from dashboards.own_overview import OVERVIEW
from dashboards.own_risk import RISK
from dashboards.own_slo import SLO
from dashboards.own_tapeline import TAPELINE
from dashboards.own_trading import TRADING
from dashboards.py_rt import PY_RT_HEALTH, PY_RT_TRADING
from dashboards.veloz_logs import VELOZ_LOGS_BOARD
from dashboards.veloz_slo import VELOZ_SLO
from dashboards.veloz_system import VELOZ_SYSTEM
from dashboards.veloz_trading import VELOZ_TRADING

__all__ = ["BOARDS", "FOLDER", "PROVIDERS", "generated_files"]

FOLDER: Final = Path("config/grafana/dashboards")
PROVIDERS: Final = Path("config/grafana/provisioning/dashboards/tapeline.yaml")
MOUNTED_AT: Final = "/etc/tapeline/dashboards"
"""Where docker-compose.yml mounts `FOLDER`."""

BOARDS: Final[tuple[Board, ...]] = (
    OVERVIEW,
    TRADING,
    EXECUTION,
    RISK,
    INFRASTRUCTURE,
    LOGS,
    SLO,
    ALERTS,
    TAPELINE,
    VELOZ_TRADING,
    VELOZ_SYSTEM,
    VELOZ_LOGS_BOARD,
    VELOZ_SLO,
    PY_RT_TRADING,
    PY_RT_HEALTH,
    B25_OVERVIEW,
    B25_INFRASTRUCTURE,
    B25_DISCOVERY,
    B25_LATENCY,
    B25_THROUGHPUT,
    B25_ERRORS,
    B25_PNL,
    B25_ACTIVITY,
    B25_STRATEGIES,
    B25_FEES,
    *B25_SERVICE_BOARDS,
    B25_ALERTS,
    KTRDR,
)

_NOTICE: Final = """\
# Which folders Grafana makes, and of which files. Made by `python -m dashboards`.
"""


def generated_files() -> dict[Path, str]:
    """Return every file that there must be, by its path in the checkout, with its content."""
    files = {FOLDER / board.slug / f"{board.uid}.json": board_json(board) for board in BOARDS}
    return {**files, PROVIDERS: _providers()}


def _providers() -> str:
    slugs = {board.slug: board.folder for board in BOARDS}
    document = {
        "apiVersion": 1,
        "providers": [
            {
                "name": folder,
                "orgId": 1,
                "folder": folder,
                "folderUid": slug,
                "type": "file",
                "disableDeletion": True,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": f"{MOUNTED_AT}/{slug}"},
            }
            for slug, folder in slugs.items()
        ],
    }
    return _NOTICE + yaml.safe_dump(document, sort_keys=False)
