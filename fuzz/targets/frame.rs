#![no_main]

use duramen::crypto::aead::NONCE;
use duramen::format::frame::{ChunkKind, Codec, FrameInfo};
use duramen::limits::FRAME_BYTES_MAX;
use duramen::seal::{Compression, FrameOpener, FrameSealer};
use duramen_fuzz::KEYS;

// No fuzzer finds a seal, so the input is what somebody with the keys sealed: three bytes of raw length, then what zstd
// gets to read. And whatever the input is, it comes back from a frame of its own.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((length, payload)) = data.split_first_chunk::<3>() else {
        return;
    };
    let raw = u32::from_le_bytes([length[0], length[1], length[2], 0]).min(FRAME_BYTES_MAX as u32);
    let mut info = FrameInfo {
        offset: 64,
        stored: 0,
        raw,
        epoch: 1,
        kind: ChunkKind::Data,
        codec: Codec::Zstd,
    };
    let nonce = [7; NONCE];
    let mut stored = [&nonce[..], payload].concat();
    let key = KEYS.frame(info.epoch, info.kind).unwrap();
    key.seal_with(&nonce, &info.aad(&KEYS.repository.0), &mut stored, NONCE)
        .unwrap();
    info.stored = stored.len() as u32;
    let mut opener = FrameOpener::new().unwrap();
    if let Ok(opened) = opener.open(&KEYS, &info, &stored) {
        assert!(opened.len() == raw as usize);
    }
    if !payload.is_empty() {
        let mut sealer = FrameSealer::new(Compression::Default).unwrap();
        let sealed = sealer.seal(&KEYS, ChunkKind::Tree, payload).unwrap();
        let opened = opener.open(&KEYS, &sealed.info, &sealed.stored).unwrap();
        assert!(opened == payload);
    }
});
