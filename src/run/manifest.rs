//! What a run was made with, on and when: `manifest.json`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use esper_engine::{ids::HostId, run_dir::Manifest};
use esper_kernels::cpu::simd_level;
use esper_nn::digest::Digest;

use super::options::Prepared;
use crate::scenario::{DATA, HOST, Network, RUN, Scenario, URZA};

/// The manifest of a run that begins now.
pub(super) fn describe(resolved: &Prepared) -> Manifest {
    let scenario = &resolved.scenario;
    Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build: build(),
        cpu: cpu(),
        started: date_time(seconds_since_1970()),
        scenario: scenario[RUN].name.clone(),
        scenario_digest: Digest(scenario.digest()),
        seed: scenario[RUN].seed,
        data_digests: digests(resolved).into_iter().chain(init_digest(resolved)).collect(),
        library: scenario[URZA].path.as_ref().map(PathBuf::from),
    }
}

/// The digests of what hosts train on: the scenario's data by its source, data of hosts of their own by the first host's
/// name, and the file that a graph was read from.
pub(super) fn digests(resolved: &Prepared) -> BTreeMap<String, Digest> {
    let Prepared { scenario, data, groups, .. } = resolved;
    let named = data.iter().map(|data| (scenario[DATA].source.clone(), Digest(data.digest)));
    let own = groups.iter().filter(|group| group.has_own_data);
    let own = own.map(|it| (HostId(it.ids.start).to_string(), Digest(it.data.digest)));
    named.chain(own).chain(graph_digest(scenario)).collect()
}

/// The digest of the weights that the first host begins with, by the name of their file. A run that goes on has no need of
/// them, and asks nobody whether they are still there.
fn init_digest(resolved: &Prepared) -> Option<(String, Digest)> {
    let name = resolved.scenario[HOST].init.clone()?;
    let weights = resolved.groups.first()?.init.as_ref()?;
    Some((name, weights.digest()))
}

/// The digest of the file that the scenario's graph is read from, by its name.
fn graph_digest(scenario: &Scenario) -> Option<(String, Digest)> {
    let Network::Graph(graph) = &scenario[HOST].network else { return None };
    let bytes = fs::read(&graph.file).ok()?;
    Some((graph.file.clone(), Digest::of(&bytes)))
}

/// Profile, target and, where the build was given `ESPER_COMMIT`, the commit.
fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    let commit = option_env!("ESPER_COMMIT").map_or_else(String::new, |it| format!(" {it}"));
    format!("{profile} {arch}-{os}{commit}")
}

/// The processor's name where the system gives it, and the vector unit that kernels run on.
fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == "model name")
        .map_or(std::env::consts::ARCH, |(_, value)| value.trim());
    format!("{name}, {:?}", simd_level()).to_lowercase().replace('\0', "")
}

#[expect(
    clippy::disallowed_types,
    reason = "the date is written to the manifest and read by nobody"
)]
fn seconds_since_1970() -> u64 {
    let now = std::time::SystemTime::now();
    // A clock that is set before 1970 names the folder 1970.
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `20260102-030405`, in universal time.
fn date_time(seconds: u64) -> String {
    let (year, month, day) = civil_from_days(seconds / 86_400);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year:04}{month:02}{day:02}-{hours:02}{minutes:02}{:02}", seconds % 60)
}

/// Year, month and day of the Gregorian calendar, `days` after 1 January 1970: `civil_from_days` of Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", 2013. Years begin in March there, so that a leap day comes last.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::date_time;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // `date -u -d @SECONDS +%Y%m%d-%H%M%S`
        assert_eq!(date_time(0), "19700101-000000");
        assert_eq!(date_time(951_782_399), "20000228-235959");
        assert_eq!(date_time(951_782_400), "20000229-000000");
        assert_eq!(date_time(1_709_251_199), "20240229-235959");
        assert_eq!(date_time(1_767_323_045), "20260102-030405");
        assert_eq!(date_time(4_107_542_400), "21000301-000000");
    }
}
