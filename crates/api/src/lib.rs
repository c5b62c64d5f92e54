//! What people and tools say to a controller: resources and their attributes, and a client.
