//! The files under `LOG_DIR`: which there are, writing, rotating and compressing them.

mod append;
mod catalogue;
mod compressor;
mod inventory;
mod limits;
mod name;
mod node_file;
mod sink;
mod writer;

pub(crate) use catalogue::{Catalogue, Snapshot};
pub(crate) use compressor::Compressor;
pub(crate) use inventory::FileId;
pub(crate) use limits::Limits;
pub(crate) use name::is_node_name;
pub use name::list_nodes;
pub(crate) use sink::FileSystem;
pub use writer::RotateReport;
pub(crate) use writer::{FileOrder, FileWriter};
