//! From what users ask to what each host must do. Pure: no packets, no I/O, no clock.
