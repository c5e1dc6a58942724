//! The API server: one request in, an object, a list or a `Status` out.
