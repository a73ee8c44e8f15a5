//! System calls relative to an open directory, for whoever reads or writes trees: nothing here follows a symbolic
//! link, so a tree that changes under our feet cannot lead us outside it.
