//! The HTTP door: routes, authentication, composition.
