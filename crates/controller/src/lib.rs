//! Where networks are defined: admission, planning and the hosts' sessions.
