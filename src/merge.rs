//! Many sorted streams as one: what is too much for memory is sorted in parts and read back so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::Result;

/// What all `streams` hold in the order of `key`, of equal ones that of the earlier stream first. Each stream must be
/// sorted; an error of one ends it, and comes as soon as it is met.
pub fn merged<T, K: Ord>(
    mut streams: Vec<impl Iterator<Item = Result<T>>>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = Result<T>> {
    let mut begun = 0;
    // Of each stream that has more, what comes next.
    let mut heads: BinaryHeap<Reverse<(K, usize)>> = BinaryHeap::new();
    let mut items: Vec<Option<T>> = streams.iter().map(|_| None).collect();
    let mut due: Option<usize> = None;
    std::iter::from_fn(move || {
        // The stream of the last item moves on only now, so that its error comes after what it gave before.
        while let Some(number) = due.take().or((begun < streams.len()).then_some(begun)) {
            begun += usize::from(number == begun);
            match streams[number].next() {
                Some(Ok(item)) => {
                    heads.push(Reverse((key(&item), number)));
                    items[number] = Some(item);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => {}
            }
        }
        let Reverse((_, number)) = heads.pop()?;
        due = Some(number);
        items[number].take().map(Ok)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::{Error, Kind};

    #[test]
    fn streams_come_as_one_in_order_and_equals_in_that_of_the_streams() {
        let streams = [&[1, 3, 3, 9][..], &[], &[2, 3, 10], &[3]];
        let numbered = streams.iter().enumerate().map(|(number, stream)| {
            let items: Vec<Result<(i32, usize)>> =
                stream.iter().map(|item| Ok((*item, number))).collect();
            items.into_iter()
        });
        let all: Vec<(i32, usize)> = merged(numbered.collect(), |(item, _)| *item)
            .map(Result::unwrap)
            .collect();
        let expected = [
            (1, 0),
            (2, 2),
            (3, 0),
            (3, 0),
            (3, 2),
            (3, 3),
            (9, 0),
            (10, 2),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn an_error_comes_after_what_came_before_it() {
        let broken = || Err(Error::new(Kind::Failed, "broken"));
        let streams = vec![
            vec![Ok(1), broken(), Ok(5)].into_iter(),
            vec![Ok(2)].into_iter(),
        ];
        let mut all = merged(streams, |item| *item);
        assert_eq!(all.next().unwrap().unwrap(), 1);
        assert!(all.next().unwrap().is_err());
    }
}
