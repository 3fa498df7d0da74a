//! The limits of the container: memory, processor.
