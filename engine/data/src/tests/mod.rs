//! Whole files in, split data or an error out.

mod bad_files;
mod bundled;
mod cifar;
mod files;
mod round_trips;
mod safetensors;
mod text;
