//! Every maximum of the format and every memory budget of the engine, in one place.
//!
//! A decoder compares a length with its maximum here before it allocates anything. The numbers marked *format*
//! stand in `format-spec/limits.md` too; raising one is a format change.

/// *format*: raw bytes of one chunk.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// *format*: raw bytes of one frame.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// *format*: stored bytes of one frame, nonce and tag included (raw data that grew under compression is stored raw).
pub const FRAME_STORED_MAX: usize = FRAME_BYTES_MAX + 28;
/// *format*: bytes of one pack file.
pub const PACK_BYTES_MAX: u64 = 64 << 20;
/// *format*: stored bytes of a pack directory.
pub const DIRECTORY_BYTES_MAX: usize = 16 << 20;
/// *format*: frames in one pack or segment.
pub const FRAMES_MAX: usize = 1 << 20;
/// *format*: chunks in one pack or segment.
pub const CHUNKS_MAX: usize = 1 << 20;
/// *format*: packs named by one segment.
pub const PACKS_MAX: usize = 1 << 16;
/// *format*: bytes of one segment file, and of its body once decompressed.
pub const SEGMENT_BYTES_MAX: usize = 96 << 20;
/// *format*: sealed bytes of one record file (config, key ring, snapshot, session, tombstone, annotation).
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// *format*: bytes of one key slot file.
pub const SLOT_BYTES_MAX: usize = 4096;
/// *format*: bytes of one name in a directory.
pub const NAME_BYTES_MAX: usize = 255;
/// *format*: bytes of one symbolic link target.
pub const LINK_TARGET_MAX: usize = 65_536;
/// *format*: bytes of one extended attribute's value (Linux's own limit is 64 KiB).
pub const XATTR_BYTES_MAX: usize = 1 << 20;
/// *format*: extended attributes of one entry.
pub const XATTRS_MAX: usize = 4096;
/// *format*: entries in one page of any kind.
pub const PAGE_ENTRIES_MAX: usize = 65_536;
/// *format*: levels of pages above the leaves.
pub const PAGE_DEPTH_MAX: u8 = 12;
/// *format*: tagged extensions behind one record.
pub const EXTENSIONS_MAX: usize = 64;
/// *format*: levels of directories below the root that a reader follows.
pub const TREE_DEPTH_MAX: usize = 65_536;

/// *format*: bytes of one BSON document: what MongoDB stores (16 MiB), and the 16 KiB more that it allows itself.
pub const DOCUMENT_BYTES_MAX: usize = (16 << 20) + (16 << 10);
/// Bytes of one answer of a MongoDB server: the longest message that it sends.
pub const ANSWER_BYTES_MAX: usize = 48_000_000;
/// *format*: bytes of the name of a database, a dot, and that of a collection. MongoDB's own limit is 255.
pub const NAMESPACE_BYTES_MAX: usize = 1024;
/// *format*: runs of one collection.
pub const RUNS_MAX: usize = 1024;
/// Collections that one restore can be undone of.
pub const UNDO_COLLECTIONS_MAX: usize = 16_384;
/// Bytes of a slice's names: an address may name many hosts.
pub const SLICE_WORDS_MAX: usize = 16 << 10;
/// *format*: indexes of one collection. MongoDB's own limit is 64.
pub const INDEXES_MAX: usize = 1024;

/// Files of at most this many bytes stand in the tree page itself.
pub const INLINE_FILE_BYTES: usize = 256;
/// Attribute values of at most this many bytes stand in the tree page itself.
pub const INLINE_XATTR_BYTES: usize = 256;
/// A frame is closed once it holds this many raw bytes.
pub const FRAME_BYTES_TARGET: usize = 2 << 20;
/// The same of documents, which are looked up one by one.
pub const DOCUMENTS_FRAME_BYTES: usize = 256 << 10;
/// The same of the pages that name documents.
pub const RUN_FRAME_BYTES: usize = 64 << 10;
/// A pack is closed once it holds this many stored bytes.
pub const PACK_BYTES_TARGET: u64 = 32 << 20;
/// A segment is closed once it names this many chunks, so that reading one takes a few MiB; a pack's are never divided.
pub const SEGMENT_CHUNKS_TARGET: usize = 1 << 16;
/// *format*: problems that a snapshot record lists; it counts the rest.
pub const PROBLEMS_LISTED_MAX: usize = 1000;
/// Bytes of paths, excludes and tags that a snapshot record may name, checked before anything is read.
pub const SNAPSHOT_WORDS_MAX: usize = 1 << 20;
/// Bytes of one tag that is added later.
pub const TAG_BYTES_MAX: usize = 255;
/// Bytes of one note, or of one reason to hold a snapshot.
pub const NOTE_BYTES_MAX: usize = 4096;
/// Entries of a page are closed before they come to more encoded bytes than this, owner names counted.
pub const PAGE_BYTES_TARGET: usize = 512 << 10;
/// Pieces of a content list that stand in the entry itself.
pub const INLINE_PIECES: usize = 64;
/// Inline attribute values of one entry together.
pub const INLINE_XATTRS_BYTES: usize = 4096;
/// A page holds at least so many entries before its cut is looked for.
pub const PAGE_ENTRIES_MIN: usize = 64;
/// A page is closed at so many entries.
pub const PAGE_ENTRIES_TARGET: usize = 2048;
/// A page ends where these bits of an entry's hash are all zero: one in 256.
pub const PAGE_CUT_MASK: u64 = 0xFF;
/// A page of a catalogue ends where these bits of a namespace's hash are all zero: one in 16.
pub const CATALOGUE_CUT_MASK: u64 = 0xF;
/// A leaf of documents holds at least so many bytes before its cut is looked for.
pub const LEAF_BYTES_MIN: usize = 2 << 10;
/// A leaf of documents comes to about this many bytes.
pub const LEAF_BYTES_TARGET: usize = 8 << 10;
/// A leaf of documents is closed at so many bytes.
pub const LEAF_BYTES_MAX: usize = 32 << 10;
/// A leaf of more bytes than this is one large document, which is cut like a file.
pub const LEAF_CHUNK_BYTES: usize = 64 << 10;
