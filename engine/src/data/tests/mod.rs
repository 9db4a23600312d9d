//! Whole files in, split data or an error out.

mod bad_files;
mod bundled;
mod files;
mod round_trips;
