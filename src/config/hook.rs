//! What is run or called besides the work itself.

use super::read::Table;

/// A shell command, or a URL that is told by POST.
#[derive(Clone, PartialEq, Eq)]
pub enum Hook {
    /// Run by `/bin/sh -c`.
    Command(String),
    /// Told by HTTP POST with a JSON body. May hold a secret, so it is shown by its host alone.
    Webhook(String),
}

impl Hook {
    fn of(text: String) -> Self {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("http://") || lower.starts_with("https://") {
            Self::Webhook(text)
        } else {
            Self::Command(text)
        }
    }

    /// For messages: the command, or scheme and host of the URL. What stands behind the host of a webhook is often
    /// all that keeps others from calling it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Command(command) => command.clone(),
            Self::Webhook(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}/...")
            }
        }
    }
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Hooks of a run, or of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before the work; one that fails prevents it.
    pub before: Vec<Hook>,
    /// After it, whatever came of it.
    pub after: Vec<Hook>,
    /// Where something failed.
    pub on_failure: Vec<Hook>,
}

impl Hooks {
    pub(super) fn read(table: Table<'_, '_>) -> Self {
        let hooks = |key| -> Vec<Hook> {
            let texts = table.texts(key).into_iter();
            texts.map(|text| Hook::of(text.value)).collect()
        };
        let read = Self {
            before: hooks("before"),
            after: hooks("after"),
            on_failure: hooks("on-failure"),
        };
        table.finish();
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_webhook_and_what_is_shown_of_it() {
        for (text, shown) in [
            ("systemctl stop x", "systemctl stop x"),
            (
                "https://hooks.example.org/T0/secret",
                "https://hooks.example.org/...",
            ),
            (
                "HTTP://user:secret@host:81?key=secret",
                "HTTP://host:81/...",
            ),
            ("curl https://x.org/y", "curl https://x.org/y"),
        ] {
            let hook = Hook::of(text.into());
            assert_eq!(hook.shown(), shown);
            assert_eq!(matches!(hook, Hook::Webhook(_)), shown.ends_with("..."));
        }
    }
}
