//! The whole fabric in one process: controllers' and agents' cores, the model store, real datapaths; virtual time, one seed.
