//! What Urza says about itself.

use super::{components::OpenLibrary, recorder::Recorded};

impl OpenLibrary {
    /// One line for people: where the library is and what this run added to it.
    pub fn describe(&self) -> String {
        let Recorded { n_commits, n_records, n_blob_bytes } = self.recorded();
        let path = self.store().path().display();
        format!("{path}: {n_records} records and {n_blob_bytes} bytes in {n_commits} commits")
    }
}
