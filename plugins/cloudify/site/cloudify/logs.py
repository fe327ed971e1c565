"""Loggers."""

import logging

from outrider_facade import further_names

__getattr__ = further_names(__name__)


def init_cloudify_logger(handler, logger_name, logging_context=None):
    """Return the logger ``ctx.<name>`` at DEBUG, with this handler alone."""
    logger = logging.getLogger(f"ctx.{logger_name}")
    logger.setLevel(logging.DEBUG)
    for former in list(logger.handlers):
        logger.removeHandler(former)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.setLevel(logging.DEBUG)
    if logging_context is not None:
        handler.context = logging_context
    logger.addHandler(handler)
    logger.propagate = True
    return logger


def setup_logger_base(log_level, log_dir=None):
    """Set the root logger's level; `log_dir` is not used: an operation's output is kept by the agent."""
    logging.getLogger().setLevel(log_level)
