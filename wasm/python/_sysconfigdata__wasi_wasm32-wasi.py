"""What `sysconfig` reports: nothing of the machine the guest was built on."""

build_time_vars = {"TZPATH": "", "SIZEOF_VOID_P": 4, "Py_GIL_DISABLED": 0, "Py_DEBUG": 0}
