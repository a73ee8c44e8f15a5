//! What an entry of the oplog holds, operation by operation: those of a transaction or of `applyOps` each by itself. What
//! they did is the business of whoever replays them.

use super::answer::text;
use super::oplog::{self, Uuid};
use super::select::Selection;
use crate::error::{Error, Kind, Result};
use crate::format::bson::{Document, Element, kind};

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// What it is: `i`, `u`, `d`, `c`, `n`.
    pub op: &'a [u8],
    /// Database and collection, or the database and `$cmd`.
    pub namespace: &'a [u8],
    /// The server's id of the collection.
    pub uuid: Option<Uuid>,
    /// `o`: the document, the change, the command.
    pub body: Document<'a>,
    /// `o2`: which document, or what was before.
    pub second: Option<Document<'a>>,
}

impl<'a> Operation<'a> {
    /// Its database.
    #[must_use]
    pub fn database(&self) -> &'a str {
        let end = self.namespace.iter().position(|byte| *byte == b'.');
        let database = &self.namespace[..end.unwrap_or(self.namespace.len())];
        std::str::from_utf8(database).unwrap_or_default()
    }

    /// Its collection; of a command, `$cmd`.
    #[must_use]
    pub fn collection(&self) -> &'a str {
        let end = self.namespace.iter().position(|byte| *byte == b'.');
        let name = end.and_then(|end| self.namespace.get(end + 1..));
        std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
    }

    /// The `_id` of the document that it is about.
    ///
    /// # Errors
    /// [`Kind::Damage`] for what is no operation.
    pub fn id(&self) -> Result<Option<Element<'a>>> {
        let named = match self.op {
            b"u" => self.second,
            _ => Some(self.body),
        };
        match named {
            Some(named) => named.get(b"_id"),
            None => Ok(None),
        }
    }

    /// Of a command: its name, and the collection that it is about.
    ///
    /// # Errors
    /// [`Kind::Damage`] where it has none.
    pub fn command(&self) -> Result<(&'a [u8], String)> {
        let first = self.body.elements().next().transpose()?;
        let first = first.ok_or_else(|| Error::damage("an empty command in the oplog"))?;
        Ok((first.name, text(&first).unwrap_or_default()))
    }

    /// The namespaces that it is about; whole databases with nothing behind the dot.
    ///
    /// # Errors
    /// [`Kind::Damage`] for what is no operation.
    pub fn namespaces(&self) -> Result<Vec<(String, String)>> {
        let own = |name: &str| (self.database().to_owned(), name.to_owned());
        if self.op != b"c" {
            return Ok(vec![own(self.collection())]);
        }
        let (command, name) = self.command()?;
        if command != b"renameCollection" {
            return Ok(vec![own(&name)]);
        }
        let to = self.body.get(b"to")?.as_ref().and_then(text);
        let both = [Some(name), to].into_iter().flatten();
        Ok(both
            .filter_map(|namespace| {
                let (database, name) = namespace.split_once('.')?;
                Some((database.to_owned(), name.to_owned()))
            })
            .collect())
    }
}

fn characters<'a>(document: Document<'a>, name: &[u8]) -> Result<&'a [u8]> {
    let found = document.get(name)?;
    let found = found.filter(|element| element.kind == kind::STRING);
    let own = found.and_then(|element| element.value.get(4..)?.strip_suffix(&[0]));
    Ok(own.unwrap_or_default())
}

fn inner<'a>(document: Document<'a>, name: &[u8]) -> Result<Option<Document<'a>>> {
    match document.get(name)? {
        Some(element) if element.kind == kind::DOCUMENT => Document::whole(element.value).map(Some),
        _ => Ok(None),
    }
}

/// Tells `visit` each operation of an entry in order.
///
/// # Errors
/// [`Kind::Damage`] for what is no entry; whatever `visit` says.
pub fn operations<'a>(
    entry: Document<'a>,
    visit: &mut dyn FnMut(Operation<'a>) -> Result<()>,
) -> Result<()> {
    within(entry, visit, 0)
}

fn within<'a>(
    entry: Document<'a>,
    visit: &mut dyn FnMut(Operation<'a>) -> Result<()>,
    depth: u32,
) -> Result<()> {
    let op = characters(entry, b"op")?;
    let body = inner(entry, b"o")?;
    let body = body.ok_or_else(|| Error::damage("an oplog entry that holds nothing"))?;
    if op == b"c"
        && let Some(nested) = body.get(b"applyOps")?
    {
        // The server nests no deeper than this either.
        if depth > 16 || nested.kind != kind::ARRAY {
            return Err(Error::new(
                Kind::Unsupported,
                "applyOps of a shape that it cannot have",
            ));
        }
        for nested in Document::whole(nested.value)?.elements() {
            within(Document::whole(nested?.value)?, visit, depth + 1)?;
        }
        return Ok(());
    }
    visit(Operation {
        op,
        namespace: characters(entry, b"ns")?,
        uuid: oplog::collection(entry)?,
        body,
        second: inner(entry, b"o2")?,
    })
}

/// Whether an entry concerns what is taken: what it does to it, or a part or an end of a transaction that may.
///
/// # Errors
/// [`Kind::Damage`] for what is no entry.
pub fn concerns(selection: &Selection, entry: Document<'_>) -> Result<bool> {
    if oplog::is_part(entry)? {
        return Ok(true);
    }
    let mut any = false;
    operations(entry, &mut |own| {
        if own.op == b"n" {
            return Ok(());
        }
        if own.op == b"c" {
            let (command, _) = own.command()?;
            any |= matches!(command, b"commitTransaction" | b"abortTransaction");
        }
        for (database, name) in own.namespaces()? {
            any |= match name.as_str() {
                // Views of the whole database.
                "" | "system.views" => selection.takes_database(&database),
                name => selection.takes(&database, name),
            };
        }
        Ok(())
    })?;
    Ok(any)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::command::Builder;
    use super::*;

    fn insert(namespace: &str) -> Builder {
        Builder::new()
            .string("op", "i")
            .string("ns", namespace)
            .uuid("ui", &[7; 16])
            .document("o", Builder::new().int32("_id", 1))
    }

    fn command(body: Builder) -> Builder {
        Builder::new()
            .string("op", "c")
            .string("ns", "shop.$cmd")
            .document("o", body)
    }

    fn taken(entry: Builder) -> bool {
        let selection = Selection {
            include: vec!["shop.*".into()],
            ..Selection::default()
        };
        concerns(&selection, Document::whole(&entry.finish()).unwrap()).unwrap()
    }

    #[test]
    fn entries_are_taken_for_what_any_operation_of_theirs_is_about() {
        assert!(taken(insert("shop.quotes")) && !taken(insert("else.quotes")));
        let nested = |namespaces: [&str; 2]| {
            let each = namespaces.map(|namespace| insert(namespace).finish());
            let each = each.iter().map(|each| (kind::DOCUMENT, &each[..]));
            command(Builder::new().array("applyOps", each))
        };
        assert!(taken(nested(["else.a", "shop.b"])) && !taken(nested(["else.a", "else.b"])));
        let rename = |from: &str, to: &str| {
            command(
                Builder::new()
                    .string("renameCollection", from)
                    .string("to", to),
            )
        };
        assert!(taken(rename("else.a", "shop.a")) && taken(rename("shop.a", "else.a")));
        assert!(!taken(rename("else.a", "else.b")));
        assert!(taken(command(Builder::new().string("drop", "quotes"))));
        assert!(taken(command(Builder::new().int32("dropDatabase", 1))));
        let noop = Builder::new()
            .string("op", "n")
            .string("ns", "")
            .document("o", Builder::new());
        assert!(!taken(noop));
    }

    #[test]
    fn operations_of_a_transaction_come_each_by_itself() {
        let each = ["shop.a", "shop.b.c"].map(|namespace| insert(namespace).finish());
        let each = each.iter().map(|each| (kind::DOCUMENT, &each[..]));
        let entry = command(Builder::new().array("applyOps", each)).finish();
        let mut seen = Vec::new();
        operations(Document::whole(&entry).unwrap(), &mut |own| {
            assert_eq!((own.op, own.uuid), (&b"i"[..], Some([7; 16])));
            seen.push((own.database(), own.collection()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [("shop", "a"), ("shop", "b.c")]);
    }
}
