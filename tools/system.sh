#!/bin/sh
# Install the system packages that a goal needs: `system.sh report` or `system.sh test`.
# Missing ones are installed by apt where that is allowed (root, or sudo without a password); else the exact command is
# printed and the script fails.
set -eu

missing=""
need() { # need PACKAGE TEST...: remember the package unless the test succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
library() { ldconfig -p 2>/dev/null | grep -q "$1" || [ -n "$(find /usr/lib /usr/local/lib -name "$1*" 2>/dev/null | head -n 1)" ]; }
browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
tex_has() { kpsewhich "$1"; }
has_fonts() { fc-list 2>/dev/null | grep -q . ; }
has_letter() { fc-list ":charset=$1" 2>/dev/null | grep -q . ; }

need libpango-1.0-0 library libpango-1.0.so.0
need libpangoft2-1.0-0 library libpangoft2-1.0.so.0
need libharfbuzz-subset0 library libharfbuzz-subset.so.0
need python3-venv "${PYTHON:-python3}" -c "import ensurepip, venv"
if [ "${1:-report}" = test ]; then
    need chromium browser
    need fonts-dejavu has_fonts
    need fonts-droid-fallback has_letter 77e5 # Chinese
    need fonts-lohit-deva has_letter 915      # Devanagari
    need poppler-utils command -v pdftoppm
    need openssh-client command -v ssh-keygen # signs reports
    need default-jdk-headless command -v javac
    need libatomic1 library libatomic.so.1 # of the node that playwright brings along
    need texlive-latex-recommended tex_has booktabs.sty
    need texlive-latex-extra tex_has multirow.sty
    need texlive-fonts-recommended tex_has ptmr8t.tfm
    need lmodern tex_has lmodern.sty
    need texlive-luatex tex_has luaotfload.sty
    need libjaxb-java test -e /usr/share/java/jaxb-runtime.jar
fi
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "These system packages are missing (Debian's names):$missing" >&2
    echo "Install them with this system's package manager, then run the same command again." >&2
    exit 3
fi
run=""
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then run="sudo -n "; else
        echo "These system packages are missing:$missing" >&2
        echo "Install them, then run the same command again:  sudo apt-get update && sudo $install" >&2
        exit 3
    fi
fi
echo "Installing system packages:$missing"
${run}env DEBIAN_FRONTEND=noninteractive apt-get update -qq
${run}env DEBIAN_FRONTEND=noninteractive $install >/dev/null
