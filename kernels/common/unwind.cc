// The static unwinder of gcc 12 asks glibc 2.35 where the tables for exceptions lie, and would make the library need it. Nothing here
// throws on purpose (an exception could not cross the C ABI), so the answer is that there are none: an exception terminates.
extern "C" int _dl_find_object(void* address, void* result);

extern "C" int _dl_find_object(void*, void*) { return -1; }
