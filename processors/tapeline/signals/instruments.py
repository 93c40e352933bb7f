"""What the configuration says about instruments and accounts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tapeline.signals.decimals import ZERO, divide, exact_product

__all__ = ["Account", "Instrument", "Instruments"]

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Instrument:
    """How quantity and price of an instrument make money.

    An inverse contract is worth `quantity · multiplier / price`, in its settlement currency; any
    other one `quantity · multiplier · price`, in its quote currency. An empty currency is unknown.
    """

    is_inverse: bool = False
    multiplier: Decimal = _ONE
    base_currency: str = ""
    quote_currency: str = ""
    settlement_currency: str = ""
    allows_negative_prices: bool = False
    """Whether a price may be zero or negative, as of power, of spreads, of oil in April 2020."""

    def __post_init__(self) -> None:
        if self.multiplier <= ZERO:
            raise ValueError(f"the multiplier is {self.multiplier}; it must be greater than 0")
        if self.is_inverse and self.allows_negative_prices:
            raise ValueError(
                "an inverse contract has no value at price 0: leave out either"
                " `kind: inverse` or `negative_prices: true`"
            )

    def currency(self, account_currency: str) -> str:
        """Return the currency of notional and P&L.

        A linear instrument has its quote currency; one without it, and an inverse one, has its
        settlement currency, which is the account's base currency by default.
        """
        if self.quote_currency and not self.is_inverse:
            return self.quote_currency
        return self.settlement_currency or account_currency

    def value(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what a signed quantity is worth at a price, in the currency of P&L."""
        amount = exact_product(quantity, self.multiplier)
        return divide(amount, price) if self.is_inverse else exact_product(amount, price)


@dataclass(frozen=True, slots=True)
class Account:
    """What the configuration says about an account."""

    base_currency: str = "USD"
    starting_equity: Decimal = ZERO


class Instruments:
    """The instruments of the configuration by name; any other one takes the defaults."""

    def __init__(self, listed: Mapping[str, Instrument] | None = None) -> None:
        self._listed = dict(listed or {})
        self._default = Instrument()

    def __getitem__(self, name: str) -> Instrument:
        return self._listed.get(name, self._default)

    def __contains__(self, name: str) -> bool:
        """Say whether the configuration lists the instrument."""
        return name in self._listed
