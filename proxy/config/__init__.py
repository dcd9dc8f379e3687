"""What an operator may set: the keys, where they come from, and their reference.

Knows nothing of sockets or sessions: it turns a file, the environment and the command line into one
frozen value.
"""

from proxy.config.loading import ConfigError, Problem, load_config
from proxy.config.models import Config

__all__ = ["Config", "ConfigError", "Problem", "load_config"]
