#!/usr/bin/env bash
# Fuzzes each target for a while: tools/fuzz.sh [SECONDS] [TARGET…]; see fuzz/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-60}"
targets=("${@:2}")
export PATH="$PWD/.tools/bin:$PATH"
# cargo-fuzz passes flags that a stable compiler takes only like this
export RUSTC_BOOTSTRAP=1

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --version 0.13.2 --locked --root .tools
if [ "${#targets[@]}" -eq 0 ]; then
  mapfile -t targets < <(ls fuzz/corpus)
fi
for target in "${targets[@]}"; do
  found="fuzz/target/corpus/$target"
  mkdir -p "$found"
  echo "== $target, $seconds s"
  cargo fuzz run --sanitizer none "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -timeout=10 -max_len=20480 -print_final_stats=1
done
