//! `duramen check` and `duramen scrub`.

use clap::Args;
use duramen::ops::check::ReadData;

/// Check that the repository is whole
#[derive(Debug, Args)]
#[command(
    long_about = "Checks that every snapshot's tree and every piece that it names is there, and that all records \
        open and follow the format's rules. With --read-data all stored data is read and verified too, which takes \
        as long as reading the repository; with --read-data-subset a part of it. Where snapshots are named, only what \
        they need is looked at. Damage makes the exit code 4. Nothing is changed, but for --record.\n\n\
        Snapshots that this machine has seen and that are gone, though nobody has forgotten them, are damage too.",
    after_help = "Examples:\n  \
        duramen check\n  \
        duramen check --read-data --json\n  \
        duramen check --read-data-subset 2/7       the second of seven parts, one for each night of a week\n  \
        duramen check --read-data-subset 5%        a random twentieth of the packs\n  \
        duramen check latest --read-data"
)]
pub struct CheckArgs {
    /// Check only what these snapshots need
    #[arg(value_name = "SNAPSHOT")]
    pub snapshots: Vec<String>,

    /// Read and verify all stored data
    #[arg(long)]
    pub read_data: bool,

    /// Read and verify a part of the data: n/m, a percentage or a size
    ///
    /// `2/7` is the second of seven parts; which pack lies in which part never changes, so seven checks read
    /// everything. `5%` and `20G` are drawn at random each time.
    #[arg(long, value_name = "SUBSET", value_parser = subset, conflicts_with = "read_data")]
    pub read_data_subset: Option<(ReadData, String)>,

    /// Draw the random subset of an earlier check again, by the seed that it printed
    #[arg(long, value_name = "NUMBER", requires = "read_data_subset")]
    pub seed: Option<u64>,

    /// Record with each snapshot that it was verified, if no damage is found; needs --read-data
    #[arg(long, requires = "read_data")]
    pub record: bool,
}

fn subset(text: &str) -> Result<(ReadData, String), String> {
    let read = ReadData::subset(text).map_err(|error| super::plain(&error))?;
    Ok((read, text.into()))
}

/// Compare every stored file with its own hash; needs no key
#[derive(Debug, Args)]
#[command(
    long_about = "Reads every file of the repository and compares it with the hash that it ends with and with its \
        name. Needs no passphrase and no key, so the machine that holds the disks can do it. Damage makes the exit \
        code 4.\n\n\
        What only a key can tell it does not: that a record is missing, or was exchanged for another of the same \
        repository. `duramen check` finds that.",
    after_help = "Examples:\n  \
        duramen -r /mnt/backup/repository scrub\n  \
        duramen scrub --json"
)]
pub struct ScrubArgs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_as_people_write_them() {
        let read = |text: &str| subset(text).map(|(read, _)| read);
        assert_eq!(read("1/1"), Ok(ReadData::Part { part: 1, of: 1 }));
        assert_eq!(read("7/7"), Ok(ReadData::Part { part: 7, of: 7 }));
        assert_eq!(read("2.5%"), Ok(ReadData::Percent(2.5)));
        assert_eq!(read("10M"), Ok(ReadData::Bytes(10 << 20)));
        for bad in [
            "", "0/3", "4/3", "1/0", "-1/2", "a/b", "1/2/3", "0%", "101%", "NaN%", "%", "0", "ten",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
