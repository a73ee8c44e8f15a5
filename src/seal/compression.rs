//! How hard frames are compressed.
//!
//! The default is no level of zstd's own but lies between its second and third: the fast strategy with longer matches
//! and a larger table than those levels use. On frames of 2 MiB it stores 2 to 5 % more than level 3 on text and JSON,
//! nothing more on programs, and takes an eighth less time (`docs/benchmarks.md`); level 2 as it comes would store more
//! and level 3 would cost more.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, Strategy};

use crate::error::{Error, Kind, Result};

/// What [`Compression::Default`] begins with; what follows overrides it.
const BASE: i32 = 3;
const DEFAULT: [CParameter; 4] = [
    CParameter::Strategy(Strategy::ZSTD_fast),
    CParameter::HashLog(17),
    CParameter::MinMatch(7),
    CParameter::TargetLength(0),
];
/// What levels from [`PROBED_FROM`] on get instead of their own: tables made for 2 MiB, not for windows of 4 and more.
/// A thread then takes 12 MiB instead of 32, and a frame is larger by a thousandth.
const NARROW: [CParameter; 2] = [CParameter::HashLog(20), CParameter::ChainLog(21)];
/// From this level on it is asked first, at [`PROBE_LEVEL`], whether a frame shrinks at all: strong levels take as long
/// for what does not as for what does, a quick one passes over it at gigabytes a second.
const PROBED_FROM: i32 = 10;
const PROBE_LEVEL: i32 = 1;

/// How hard to compress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Store everything as it is.
    Off,
    /// What was measured to be the best trade for most data.
    #[default]
    Default,
    /// A level of zstd's, 1 to 22.
    Level(i32),
}

impl Compression {
    /// Compressors for one thread: the one to use, none where nothing is compressed, and the one to ask before.
    ///
    /// # Errors
    /// Where zstd refuses the level.
    pub(super) fn compressors(
        self,
    ) -> Result<(Option<Compressor<'static>>, Option<Compressor<'static>>)> {
        let refused = |level: i32| {
            move |error| Error::new(Kind::Usage, format!("zstd has no level {level}")).cause(error)
        };
        match self {
            Self::Off => Ok((None, None)),
            Self::Default => {
                let mut compressor = Compressor::new(BASE).map_err(refused(BASE))?;
                for parameter in DEFAULT {
                    compressor.set_parameter(parameter).map_err(refused(BASE))?;
                }
                Ok((Some(compressor), None))
            }
            Self::Level(level) => {
                let probe = (level >= PROBED_FROM)
                    .then(|| Compressor::new(PROBE_LEVEL).map_err(refused(PROBE_LEVEL)));
                let mut compressor = Compressor::new(level).map_err(refused(level))?;
                for parameter in NARROW.into_iter().filter(|_| level >= PROBED_FROM) {
                    compressor
                        .set_parameter(parameter)
                        .map_err(refused(level))?;
                }
                Ok((Some(compressor), probe.transpose()?))
            }
        }
    }
}
