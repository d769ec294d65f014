//! Evenkeel keeps a Docker host on an even keel.
