//! The same work for many things on a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;

/// More threads than this do not write faster.
const THREADS_MAX: usize = 16;

/// Calls `work` once for each of `items`, in order as threads become free. Stops taking further ones after an error.
///
/// # Errors
/// The first one that `work` returned.
pub(super) fn each<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let threads = threads.clamp(1, THREADS_MAX).min(items.len());
    if threads <= 1 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let Some(item) = items.get(next.fetch_add(1, Relaxed)) else {
                        return;
                    };
                    if let Err(error) = work(item) {
                        stop.store(true, Relaxed);
                        first
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                    }
                }
            });
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::error::{Error, Kind};

    #[test]
    fn every_item_once() {
        for threads in [0, 1, 3, 99] {
            let items: Vec<AtomicUsize> = (0..500).map(|_| AtomicUsize::new(0)).collect();
            each(threads, &items, |item| {
                item.fetch_add(1, Relaxed);
                Ok(())
            })
            .unwrap();
            assert!(items.iter().all(|item| item.load(Relaxed) == 1));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let done = AtomicUsize::new(0);
        let items: Vec<usize> = (0..100_000).collect();
        let error = each(4, &items, |item| {
            done.fetch_add(1, Relaxed);
            if *item == 3 {
                return Err(Error::new(Kind::NoSpace, "full"));
            }
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.kind(), Kind::NoSpace);
        assert!(done.load(Relaxed) < items.len());
    }
}
