"""Be the shell around ``live.engine``: recovery, feed, orders, journal, gauges. The core decides, this acts."""
