"""The machine's clock and data folder, and its source of identity and chance."""

from encola.adapters.system.clock import SystemClock
from encola.adapters.system.data_folder import DataFolder
from encola.adapters.system.ids import SystemIds

__all__ = ["DataFolder", "SystemClock", "SystemIds"]
