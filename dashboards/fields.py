"""How a panel's values are written: unit, colours, texts, links, and overrides of fields."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards.model import Link, Override, Panel

__all__ = ["field_config"]


def field_config(panel: Panel, drawn: model.Panel) -> model.FieldConfigSource:
    """Return the configuration of the panel's fields, with what its kind has set already."""
    config = drawn.field_config or model.FieldConfigSource()
    defaults = config.defaults
    defaults.unit = panel.unit
    defaults.decimals = panel.decimals
    defaults.min_val = panel.minimum
    defaults.max_val = panel.maximum
    defaults.links = [_link(each) for each in panel.links] or None
    defaults.thresholds = _thresholds(panel)
    defaults.mappings = _mappings(panel)
    config.overrides = [_override(each) for each in panel.overrides]
    return config


def _link(link: Link) -> model.DashboardLink:
    return model.DashboardLink(
        title=link.title, type_val=model.DashboardLinkType.LINK, url=link.url, target_blank=True
    )


def _thresholds(panel: Panel) -> model.ThresholdsConfig | None:
    if not panel.thresholds:
        return None
    return model.ThresholdsConfig(
        mode=model.ThresholdsMode.ABSOLUTE,
        steps=[model.Threshold(value=value, color=colour) for value, colour in panel.thresholds],
    )


def _mappings(panel: Panel) -> list[model.ValueMapping] | None:
    if not panel.texts:
        return None
    return [
        model.ValueMap(
            options={
                value: model.ValueMappingResult(text=text, color=colour, index=at)
                for at, (value, (text, colour)) in enumerate(panel.texts.items())
            }
        )
    ]


def _override(override: Override) -> model.DashboardFieldConfigSourceOverrides:
    return model.DashboardFieldConfigSourceOverrides(
        matcher=model.MatcherConfig(id_val=override.matcher, options=override.name),
        properties=[
            model.DynamicConfigValue(id_val=name, value=value)
            for name, value in override.properties.items()
        ],
    )
