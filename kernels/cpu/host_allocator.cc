#include "cpu/host_allocator.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <algorithm>

namespace ax {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kHugePageThreshold = 4 << 20;
// On a miss, cached mappings are kept up to what is in use plus this: programs whose sizes vary would otherwise collect one
// cached mapping for each size they ever used.
constexpr uint64_t kCacheSlackBytes = 64 << 20;

uint64_t readNumber(const char* path) {
  FILE* file = fopen(path, "re");
  if (file == nullptr) return UINT64_MAX;
  unsigned long long value = UINT64_MAX;
  if (fscanf(file, "%llu", &value) != 1) value = UINT64_MAX;  // "max"
  fclose(file);
  return value;
}

int floorLog2(uint64_t value) { return 63 - __builtin_clzll(value); }

}  // namespace

uint64_t HostAllocator::limitBytes() {
  static const uint64_t limit = [] {
    uint64_t bytes = UINT64_MAX;
    struct sysinfo info;
    if (sysinfo(&info) == 0) bytes = (static_cast<uint64_t>(info.totalram) + info.totalswap) * info.mem_unit;
    // A container sees its own limit at the root of the control group file system (version 2, then version 1).
    bytes = std::min(bytes, readNumber("/sys/fs/cgroup/memory.max"));
    return std::min(bytes, readNumber("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
  }();
  return limit;
}

int HostAllocator::classOf(uint64_t bytes) {
  if (bytes <= kLinearBytes) return bytes == 0 ? 0 : static_cast<int>((bytes - 1) / 64);
  int exponent = floorLog2(bytes - 1);  // at least 10
  return kLinearClasses + (exponent - 10) * 8 + static_cast<int>(((bytes - 1) >> (exponent - 3)) & 7);
}

uint64_t HostAllocator::classBytes(int class_index) {
  if (class_index < kLinearClasses) return 64 * static_cast<uint64_t>(class_index + 1);
  int step = class_index - kLinearClasses;
  return static_cast<uint64_t>(8 + step % 8 + 1) << (step / 8 + 10 - 3);
}

uint64_t HostAllocator::slabBytes(int class_index) {
  uint64_t bytes = classBytes(class_index);
  if (bytes <= 8192) return 64 * 1024;
  if (bytes <= 64 * 1024) return 8 * bytes;
  return bytes;
}

uint64_t HostAllocator::roundLarge(uint64_t bytes) {
  uint64_t step = uint64_t{1} << (floorLog2(bytes - 1) - 3);
  return (bytes + step - 1) / step * step;
}

void* HostAllocator::allocate(uint64_t bytes, uint64_t* note) {
  if (bytes > kMaxClassBytes) return allocateLarge(bytes, note);
  int class_index = classOf(bytes);
  SizeClass& size_class = classes_[class_index];
  uint64_t block_bytes = classBytes(class_index);
  void* address;
  if (size_class.free != nullptr) {
    address = size_class.free;
    size_class.free = size_class.free->next;
  } else if (size_class.bump_end - size_class.bump >= static_cast<int64_t>(block_bytes)) {
    address = size_class.bump;
    size_class.bump += block_bytes;
  } else {
    address = allocateFromNewSlab(class_index);
    if (address == nullptr) return nullptr;
  }
  used_bytes_ += block_bytes;
  *note = static_cast<uint64_t>(class_index);
  return address;
}

void HostAllocator::release(void* address, uint64_t note) {
  if (note >= kClasses) {  // a mapping: the note is its size
    used_bytes_ -= note;
    // Before its equals, so that the next to be handed out is the one whose lines are still in the caches.
    cached_large_.emplace_hint(cached_large_.lower_bound(note), note, address);
    cached_large_bytes_ += note;
    return;
  }
  SizeClass& size_class = classes_[note];
  FreeBlock* block = static_cast<FreeBlock*>(address);
  block->next = size_class.free;
  size_class.free = block;
  used_bytes_ -= classBytes(static_cast<int>(note));
}

void* HostAllocator::allocateFromNewSlab(int class_index) {
  uint64_t bytes = slabBytes(class_index);
  char* base = static_cast<char*>(map(bytes));
  if (base == nullptr) return nullptr;
  slabs_.push_back({base, bytes, class_index});
  SizeClass& size_class = classes_[class_index];
  size_class.bump = base + classBytes(class_index);
  size_class.bump_end = base + bytes;
  return base;
}

void* HostAllocator::allocateLarge(uint64_t bytes, uint64_t* note) {
  if (bytes > limitBytes()) return nullptr;  // before rounding, which could overflow
  uint64_t rounded = roundLarge(bytes);
  auto fit = cached_large_.lower_bound(rounded);
  if (fit != cached_large_.end() && fit->first <= rounded + rounded / 4) {
    void* address = fit->second;
    *note = fit->first;
    cached_large_bytes_ -= fit->first;
    used_bytes_ += fit->first;
    cached_large_.erase(fit);
    return address;
  }
  trimLarge(used_bytes_ + kCacheSlackBytes);
  void* address = mapLarge(rounded);
  if (address == nullptr) return nullptr;
  used_bytes_ += rounded;
  *note = rounded;
  return address;
}

// Large mappings start at a multiple of the huge page size, so that the kernel can back all of them with huge pages.
void* HostAllocator::mapLarge(uint64_t bytes) {
  if (bytes < kHugePageThreshold) return map(bytes);
  char* base = static_cast<char*>(map(bytes + kHugePageBytes));
  if (base == nullptr) return nullptr;
  uint64_t skip = (kHugePageBytes - reinterpret_cast<uintptr_t>(base) % kHugePageBytes) % kHugePageBytes;
  if (skip > 0) unmap(base, skip);
  if (skip < kHugePageBytes) unmap(base + skip + bytes, kHugePageBytes - skip);
  madvise(base + skip, bytes, MADV_HUGEPAGE);  // advice: its failure changes nothing but speed
  return base + skip;
}

void* HostAllocator::map(uint64_t bytes) {
  for (bool trimmed = false;; trimmed = true) {
    // Without this check the kernel may promise memory that it does not have, and kill the process on use.
    if (system_bytes_ + bytes <= limitBytes()) {
      void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (address != MAP_FAILED) {
        system_bytes_ += bytes;
        return address;
      }
    }
    if (trimmed) return nullptr;
    trim();
  }
}

void HostAllocator::unmap(void* address, uint64_t bytes) {
  munmap(address, bytes);
  system_bytes_ -= bytes;
}

void HostAllocator::trim() {
  trimLarge(0);
  trimSlabs();
}

void HostAllocator::trimLarge(uint64_t keep_bytes) {
  while (cached_large_bytes_ > keep_bytes) {
    auto largest = std::prev(cached_large_.end());
    cached_large_bytes_ -= largest->first;
    unmap(largest->second, largest->first);
    cached_large_.erase(largest);
  }
}

void HostAllocator::trimSlabs() {
  std::sort(slabs_.begin(), slabs_.end(), [](const Slab& a, const Slab& b) {
    return a.class_index != b.class_index ? a.class_index < b.class_index : a.base < b.base;
  });
  std::vector<char*> blocks;
  std::vector<Slab> kept_slabs;
  size_t slab_index = 0;
  for (int class_index = 0; class_index < kClasses; ++class_index) {
    SizeClass& size_class = classes_[class_index];
    const uint64_t block_bytes = classBytes(class_index);
    blocks.clear();
    for (FreeBlock* block = size_class.free; block != nullptr; block = block->next) {
      blocks.push_back(reinterpret_cast<char*>(block));
    }
    for (; size_class.bump_end - size_class.bump >= static_cast<int64_t>(block_bytes); size_class.bump += block_bytes) {
      blocks.push_back(size_class.bump);
    }
    size_class = SizeClass();
    std::sort(blocks.begin(), blocks.end());
    // Both lists are sorted: a slab whose blocks are all free goes, the free blocks of the others form the new list.
    size_t begin = 0;
    for (; slab_index < slabs_.size() && slabs_[slab_index].class_index == class_index; ++slab_index) {
      const Slab& slab = slabs_[slab_index];
      size_t end = begin;
      while (end < blocks.size() && blocks[end] < slab.base + slab.bytes) ++end;
      if (end - begin == slab.bytes / block_bytes) {
        unmap(slab.base, slab.bytes);
      } else {
        kept_slabs.push_back(slab);
        for (size_t i = begin; i < end; ++i) {
          FreeBlock* block = reinterpret_cast<FreeBlock*>(blocks[i]);
          block->next = size_class.free;
          size_class.free = block;
        }
      }
      begin = end;
    }
  }
  slabs_.swap(kept_slabs);
}

}  // namespace ax
