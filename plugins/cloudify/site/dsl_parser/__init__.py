"""The part of the blueprint parser's names that operations' code imports: constants."""

from outrider_facade import fall_through

__path__ = fall_through(__path__, __name__)
