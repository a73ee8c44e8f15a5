//! Other names for what comes back: patterns with stars, as mongorestore has them.

use std::collections::HashMap;

use crate::error::{Error, Kind, Result};
use crate::source::mongo::select::captured;

/// `--ns-from` and `--ns-to`, in pairs.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Pairs of patterns; what the stars of the first stand for comes, in order, to the stars of the second.
    ///
    /// # Errors
    /// [`Kind::Usage`] where they are no pairs, or have not as many stars.
    pub fn new(from: &[String], to: &[String]) -> Result<Self> {
        if from.len() != to.len() {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "{} names to change and {} to change them to",
                    from.len(),
                    to.len()
                ),
            )
            .hint("give as many --ns-to as --ns-from"));
        }
        let stars = |pattern: &str| pattern.matches('*').count();
        for (from, to) in from.iter().zip(to) {
            if stars(from) != stars(to) {
                return Err(Error::new(
                    Kind::Usage,
                    "not as many stars in the new name as in the old one",
                )
                .subject(format!("{from} to {to}")));
            }
        }
        Ok(Self(from.iter().cloned().zip(to.iter().cloned()).collect()))
    }

    /// The name under which a namespace comes back: the first pair that fits decides.
    ///
    /// # Errors
    /// [`Kind::Usage`] where that is no name of a collection.
    pub fn of(&self, namespace: &str) -> Result<String> {
        let Some((to, stars)) = self
            .0
            .iter()
            .find_map(|(from, to)| Some((to, captured(from, namespace)?)))
        else {
            return Ok(namespace.to_owned());
        };
        let mut stars = stars.into_iter();
        let mut name = String::new();
        for (number, part) in to.split('*').enumerate() {
            if number > 0 {
                name.push_str(stars.next().unwrap_or_default());
            }
            name.push_str(part);
        }
        match name.split_once('.') {
            Some((database, collection)) if !database.is_empty() && !collection.is_empty() => {
                Ok(name)
            }
            _ => Err(Error::new(
                Kind::Usage,
                "not the name of a collection: database, dot, collection",
            )
            .subject(name)),
        }
    }

    /// Refuses where two would come back under one name.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming both.
    pub fn refuse_doubles<'n>(&self, namespaces: impl Iterator<Item = &'n str>) -> Result<()> {
        let mut taken: HashMap<String, &str> = HashMap::new();
        for namespace in namespaces {
            let name = self.of(namespace)?;
            if let Some(other) = taken.insert(name.clone(), namespace) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("{other} and {namespace} would both become {name}"),
                ));
            }
        }
        Ok(())
    }
}

impl Names {
    /// Refuses a name to change that nothing has: with a slip in it, all would come back under the names that it should not.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming it.
    pub fn refuse_strays<'n>(
        &self,
        namespaces: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<()> {
        for (from, _) in &self.0 {
            if !namespaces.clone().any(|own| captured(from, own).is_some()) {
                return Err(
                    Error::new(Kind::Usage, "nothing that comes back has such a name")
                        .subject(format!("--ns-from {from}"))
                        .hint("`duramen ls` shows the collections of a snapshot"),
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(pairs: &[(&str, &str)]) -> Result<Names> {
        let side = |side: fn(&(&str, &str)) -> String| pairs.iter().map(side).collect::<Vec<_>>();
        Names::new(&side(|pair| pair.0.into()), &side(|pair| pair.1.into()))
    }

    #[test]
    fn stars_carry_over() {
        let own = names(&[("a.*", "b.*"), ("*.x.*", "*.*_old"), ("c.d", "e.f")]).unwrap();
        for (from, to) in [
            ("a.b.c", "b.b.c"),
            ("shop.x.y", "shop.y_old"),
            ("c.d", "e.f"),
            ("other.name", "other.name"),
        ] {
            assert_eq!(own.of(from).unwrap(), to);
        }
        assert!(names(&[("a.*", "b")]).is_err());
        assert!(Names::new(&["a.*".into()], &[]).is_err());
        assert!(names(&[("a.b", "b")]).unwrap().of("a.b").is_err());
    }

    #[test]
    fn two_do_not_become_one() {
        let own = names(&[("a.*", "c.*"), ("b.*", "c.*")]).unwrap();
        own.refuse_doubles(["a.x", "b.y"].into_iter()).unwrap();
        assert!(own.refuse_doubles(["a.x", "b.x"].into_iter()).is_err());
    }
}
