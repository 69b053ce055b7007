# Short names for what the scripts and cargo do; `just` alone lists them.

_list:
    @just --list --unsorted

# Run the server with the sample debate and the sample conversation playing
demo *arguments:
    cargo run --release -- demo {{arguments}}

# Run the server
serve *arguments:
    cargo run --release -- serve {{arguments}}

# Everything CI runs: formatting, clippy, documentation, all tests
check *arguments:
    scripts/test.sh {{arguments}}

# The Rust tests alone
test *arguments:
    cargo test {{arguments}}

# The browser tests alone, or some of them: just browser viewer.test.mjs
browser *files:
    cargo build
    cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund && node --test {{files}}

# Fuzz what reads foreign input, each target for so many seconds: just fuzz 60 publish
fuzz *arguments:
    scripts/fuzz.sh {{arguments}}

# Format the code
fmt:
    cargo fmt

# Lint as CI does
lint:
    cargo clippy --all-targets -- -D warnings
    cargo clippy --no-default-features --lib -- -D warnings

# Measure the parts by themselves: encoding, fan-out, replay, group commit
bench *arguments:
    cargo bench -- {{arguments}}

# Build the documentation and open it
doc:
    cargo doc --no-deps --open

# Renew the picture in the README
screenshot:
    scripts/screenshot.sh

# Licences, version floors and advisories of the dependencies
deny:
    scripts/deny.sh
