//! Which collections are meant: namespaces by pattern, as mongodump and mongorestore name them.

/// Databases that are the server's own, and differ from member to member or from run to run.
const INTERNAL: [&str; 2] = ["local", "config"];

/// Which namespaces are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The database that the address names, alone.
    pub database: Option<String>,
    /// A pattern that must fit besides: of a database or collection that was named by itself.
    pub within: Option<String>,
    /// Patterns of which one must fit, where there are any; `*` stands for anything.
    pub include: Vec<String>,
    /// Patterns of which none may fit.
    pub exclude: Vec<String>,
    /// Users and roles too.
    pub users: bool,
}

impl Selection {
    /// Whether a database can hold anything that is taken.
    #[must_use]
    pub fn takes_database(&self, name: &str) -> bool {
        if name == "admin" && self.users {
            return true;
        }
        !INTERNAL.contains(&name) && self.database.as_ref().is_none_or(|own| own == name)
    }

    /// Whether the collection is taken. What the server keeps for a time series goes with it.
    #[must_use]
    pub fn takes(&self, database: &str, name: &str) -> bool {
        if INTERNAL.contains(&database) {
            return false;
        }
        if database == "admin" && name.starts_with("system.") {
            let within = self.within.as_ref();
            return self.users
                && matches!(name, "system.users" | "system.roles")
                && within.is_none_or(|pattern| fits(pattern, &format!("{database}.{name}")));
        }
        if self.database.as_ref().is_some_and(|own| own != database) {
            return false;
        }
        let series = name.strip_prefix("system.buckets.");
        // Code for the server stands in system.js; views stand in the catalogue, profiles and the like are its own.
        if series.is_none() && name.starts_with("system.") && name != "system.js" {
            return false;
        }
        let namespace = format!("{database}.{}", series.unwrap_or(name));
        // What a restore of users that was killed left behind: credentials.
        if namespace.starts_with("admin.duramen_") {
            return false;
        }
        if self
            .within
            .as_ref()
            .is_some_and(|pattern| !fits(pattern, &namespace))
        {
            return false;
        }
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &namespace));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

/// Whether a pattern fits: `*` stands for any characters, dots among them, all others for themselves.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    captured(pattern, name).is_some()
}

/// What the stars of a pattern stand for, each for as little as it can; none where it does not fit.
#[must_use]
pub fn captured<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty().then(Vec::new);
    };
    let mut stars = Vec::new();
    for part in middle {
        let at = rest.find(part)?;
        stars.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    stars.push(rest.strip_suffix(last)?);
    Some(stars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a.b"),
            ("a.*", "a.b.c"),
            ("a.*", "a."),
            ("*.b", "a.b"),
            ("a*c*e", "abcde"),
            ("a*c*e", "ace"),
            ("a.b", "a.b"),
            ("a**b", "a.b"),
            ("a.[b]?", "a.[b]?"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("a.*", "b.a."),
            ("a.b", "a.bc"),
            ("*.b", "a.bc"),
            ("a*c*e", "aec"),
            ("ab*ba", "aba"),
            ("a.?", "a.b"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_the_servers_own_stays_there() {
        let all = Selection::default();
        for (database, name, taken) in [
            ("shop", "quotes", true),
            ("shop", "system.js", true),
            ("shop", "system.buckets.weather", true),
            ("shop", "system.views", false),
            ("shop", "system.profile", false),
            ("local", "oplog.rs", false),
            ("config", "system.sessions", false),
            ("admin", "notes", true),
            ("admin", "system.users", false),
            ("admin", "system.version", false),
            ("admin", "duramen_users", false),
        ] {
            assert_eq!(all.takes(database, name), taken, "{database}.{name}");
        }
        let users = Selection {
            users: true,
            database: Some("shop".into()),
            ..Selection::default()
        };
        assert!(users.takes("admin", "system.users") && users.takes("admin", "system.roles"));
        assert!(users.takes_database("admin") && users.takes_database("shop"));
        assert!(!users.takes("admin", "system.version") && !users.takes("admin", "notes"));
        assert!(!users.takes("other", "quotes") && !users.takes_database("other"));
    }

    #[test]
    fn patterns_choose_and_buckets_go_with_their_series() {
        let some = Selection {
            include: vec!["shop.*".into(), "*.weather".into()],
            exclude: vec!["*.tmp*".into()],
            ..Selection::default()
        };
        for (database, name, taken) in [
            ("shop", "quotes", true),
            ("shop", "tmp.quotes", false),
            ("other", "quotes", false),
            ("other", "weather", true),
            ("other", "system.buckets.weather", true),
            ("other", "system.buckets.rain", false),
        ] {
            assert_eq!(some.takes(database, name), taken, "{database}.{name}");
        }
    }
}
