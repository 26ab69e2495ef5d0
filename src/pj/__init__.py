"""Touch the world: processes, files, brokers, console, simulators."""

__version__ = "0.1.0"
