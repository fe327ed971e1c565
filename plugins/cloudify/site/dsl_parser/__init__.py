"""The part of the blueprint parser's names that operations' code imports: constants."""

from outrider_facade import fall_through, further_names

__path__ = fall_through(__path__, __name__)
__getattr__ = further_names(__name__)
