# gomd: `make run` and `make test` set everything up in a virtual environment of their own.
# Every target works as an ordinary user and as root.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ONLY ?=
# Where `make install-openmosix-names` puts mosctl, mosrun, migrate and mps.
PREFIX ?= /usr/local
DESTDIR ?=

# Where `make install-unit` puts gomd.service.
UNITDIR ?= /etc/systemd/system

.PHONY: help run test format lint types imports docs diagrams page-tools page-pictures unit integration faults programs examples bench demo man pictures clients system criu clean install-openmosix-names uninstall-openmosix-names install-unit uninstall-unit deb test-packages test-debian test-oldest dist manifest release fuzz-api

help:
	@echo 'make run          run the daemon in the foreground with gomd.ini'
	@echo 'make test         everything CI checks: lint, types, imports, tests, examples of the docs'
	@echo 'make unit         the unit tests alone (under a minute)'
	@echo 'make format       lay the code out as `make lint` wants it'
	@echo 'make faults       every fault a migration can meet, as root (make test has most of them); fuzzes clients/c'
	@echo 'make programs     move a hundred programs of Debian and write docs/programs.md, as root; ONLY=name for one'
	@echo 'make fuzz-api     ask the API whatever its description allows, with schemathesis'
	@echo 'make bench        measure; ONLY=name for one of them'
	@echo 'make pictures     remake the pictures of the live screens and of the page, docs/pictures'
	@echo 'make docs         the documentation as HTML, build/docs/index.html'
	@echo 'make diagrams     redraw the diagrams of the documentation; needs graphviz'
	@echo 'make man          remake the manual pages, packaging/man'
	@echo 'make demo         draw the load and the top processes of the daemon that runs'
	@echo 'make clients      build and check the libraries in other languages'
	@echo 'make criu         get a criu that works on this kernel, as root (moving processes needs one)'
	@echo 'make install-unit  gomd.service for this virtual environment; uninstall-unit removes it'
	@echo 'make install-openmosix-names PREFIX=/usr/local'
	@echo '                  mosctl, mosrun, migrate and mps, as openMosix had them; uninstall-... removes them'
	@echo 'make deb          the Debian packages, in a clean Debian 13 made by debootstrap, as root: dist/deb'
	@echo 'make test-packages  install, upgrade, remove and purge them on a Debian 13 with systemd, as root'
	@echo 'make test-debian  the unit tests with the Python and the libraries of Debian 13, as root'
	@echo 'make test-oldest  the unit tests with the oldest libraries that setup.cfg allows'
	@echo 'make dist         the wheel and the source archive, checked: dist'
	@echo 'make release VERSION=1.2.3  write the version and the date wherever they stand, then make dist and deb'
	@echo 'make page-tools   what the tests of the page need: playwright-core and axe-core from npm'
	@echo 'make clean        remove the virtual environment and all caches'

run: $(VENV)/.installed
	@echo 'gomd: the telnet line is at the endpoint below; try: telnet 127.0.0.1 2901'
	exec $(BIN)/twistd -n --pidfile= gomd --config gomd.ini

test: lint types imports docs manifest system page-tools unit integration

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The documentation as HTML. A link that leads nowhere, and a page that no list of contents names, is an error.
docs: $(VENV)/.tested
	$(BIN)/python contrib/reference.py docs
	$(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees -b html docs build/docs

# The diagrams of the documentation, from their text.
diagrams:
	@command -v dot >/dev/null || { echo 'make: the diagrams need graphviz: on Debian, apt install graphviz' >&2; exit 1; }
	@for each in docs/diagrams/*.dot; do name=$${each##*/}; dot -Tsvg "$$each" -o "docs/pictures/diagram-$${name%.dot}.svg"; done

# Rewrites the files: the layout as ruff has it, and the mistakes that ruff can correct.
format: $(VENV)/.tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.tested
	$(BIN)/mypy

imports: $(VENV)/.tested
	$(BIN)/lint-imports

unit: $(VENV)/.tested
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit

# Real daemons, two tests at a time. What fails is run once more, alone: a fault of the code fails again, a deadline
# that a busy machine missed does not. A test that hangs fails after ten minutes. Both outcomes are printed; CONTRIBUTING says what to do about the second kind.
integration: $(VENV)/.tested
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --timeout 600 tests/integration tests/programs || { [ $$? = 1 ] \
	  && echo 'make: the tests that failed beside others run once more, alone' \
	  && $(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none --maxfail 3 --timeout 600 tests/integration tests/programs; }

# Every fault that a migration can meet; `make test` leaves out those that another one covers. And every parser of the
# client in C for 5 minutes with libFuzzer, where there is clang.
faults: $(VENV)/.tested
	@if command -v clang >/dev/null; then $(MAKE) -C clients/c fuzz; else echo 'clang is missing: the parsers in C are not fuzzed'; fi
	GOMD_ALL_FAULTS=1 $(BIN)/python -m pytest -q tests/integration/test_migrate_faults.py tests/integration/test_migrate_misfortunes.py tests/integration/test_migrate_precopy.py

# Programs that nobody here wrote, moved in mid-run; docs/programs.md says what came of them. It installs them.
programs: $(VENV)/.tested
	@sh contrib/system-packages programs
	$(BIN)/python -m tests.programs $(if $(ONLY),'$(ONLY)')

bench: $(VENV)/.tested
	@case ' $(ONLY) ' in '  '|*' run '*|*' detection '*|*' page '*) sh contrib/system-packages bench || true ;; esac
	@case ' $(ONLY) ' in '  '|*' migrate '*) [ "$$(id -u)" != 0 ] || sh contrib/get-criu /opt/gomd-criu-4.1 trixie >/dev/null || true ;; esac
	$(BIN)/python -m bench $(ONLY)

demo: $(VENV)/.installed
	$(BIN)/python demo/monitor.py

# The manual pages, from the usage texts, the table of verbs, the options of the daemon and gomd.ini.
man: $(VENV)/.installed
	$(BIN)/python contrib/manual.py packaging/man

# The live screens with a made-up cluster, as SVG, and every view of the page as the tests see it.
pictures: $(VENV)/.tested page-pictures
	$(BIN)/python -m demo.pictures docs/pictures

# The libraries in other languages. `make test` builds them where it needs them, in directories of its own.
clients:
	@command -v $${CC:-cc} >/dev/null || { echo 'make: clients/c needs a C compiler: on Debian, apt install gcc' >&2; exit 1; }
	$(MAKE) -C clients/c all check
	@if command -v javac >/dev/null; then $(MAKE) -C clients/java all check; else echo 'make: no JDK, so clients/java is not built'; fi
	cd clients/perl && prove -l t

# The command names of openMosix, for people and scripts that use them: docs/openmosix-names.md.
install-openmosix-names: $(VENV)/.installed
	$(abspath $(BIN))/python -m gom.openmosix.install '$(DESTDIR)$(PREFIX)/bin'

uninstall-openmosix-names: $(VENV)/.installed
	$(abspath $(BIN))/python -m gom.openmosix.install remove '$(DESTDIR)$(PREFIX)/bin'

# gomd.service with the whole path of this environment's twistd, quoted for systemd: docs/service.md.
install-unit: $(VENV)/.installed
	install -d '$(DESTDIR)$(UNITDIR)'
	$(abspath $(BIN))/python contrib/install-unit '$(abspath $(BIN))' <contrib/gomd.service >'$(DESTDIR)$(UNITDIR)/gomd.service'
	@echo 'now: systemctl daemon-reload && systemctl enable --now gomd'

uninstall-unit:
	rm -f '$(DESTDIR)$(UNITDIR)/gomd.service'

# The system's programs that the tests use. For root they are installed; other users are told what is missing.
system:
	@sh contrib/system-packages

# What the tests of the page use: playwright-core and axe-core, with the machine's own Node.js and Chromium.
page-tools: tests/page/node_modules/.made

tests/page/node_modules/.made: tests/page/package.json tests/page/package-lock.json
	@if command -v npm >/dev/null 2>&1; then cd tests/page && npm ci --no-audit --no-fund --loglevel=error && touch node_modules/.made; \
	 elif [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then echo 'npm is missing, and the page cannot be tried' >&2; exit 1; \
	 else echo 'npm is missing: the page will not be tried in a browser'; fi

# The pictures of docs/page.md, of the page as the tests see it.
page-pictures: $(VENV)/.tested system page-tools
	mkdir -p docs/pictures
	GOMD_PICTURES='$(CURDIR)/docs/pictures' $(BIN)/python -m pytest -q tests/integration/test_page.py tests/integration/test_page_node.py \
	  -k 'many or accessible or dragged or charts'

# Debian packages. The clean systems are kept in $GOMD_TEST_CACHE, else /var/cache/gomd-tests.
deb:
	packaging/make-deb dist/deb

test-packages: $(VENV)/.tested deb
	$(BIN)/python -m pytest -q tests/packages

test-debian:
	packaging/test-debian $(if $(ONLY),$(ONLY),tests/unit)

# What setup.cfg names as the oldest versions is what a user may have.
test-oldest:
	$(PYTHON) -m venv --clear $(VENV)-oldest
	$(PYTHON) contrib/oldest-versions setup.cfg >$(VENV)-oldest/versions
	$(VENV)-oldest/bin/python -m pip install -q --disable-pip-version-check -r $(VENV)-oldest/versions
	PYTHONPATH=. $(VENV)-oldest/bin/python -m pytest -q -p no:cacheprovider $(if $(ONLY),$(ONLY),tests/unit)

# Whether everything in the repository is in the source archive.
manifest: $(VENV)/.tested
	@if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then $(BIN)/check-manifest --no-build-isolation; \
	 else echo 'there is no repository here to compare the source archive with'; fi

# The same commit gives the same files: every time stamp is that of the commit.
dist: $(VENV)/.tested manifest
	rm -rf build dist/gomd-*.tar.gz dist/gomd-*.whl
	$(BIN)/python contrib/build-dist dist
	$(BIN)/twine check --strict dist/gomd-*.tar.gz dist/gomd-*.whl

release: $(VENV)/.tested
	$(BIN)/python contrib/release.py '$(VERSION)'
	$(MAKE) man
	$(MAKE) dist deb

# A criu that works on this kernel, for moving jobs: the system's own, otherwise one under /opt/gomd-criu.
criu:
	@sh contrib/get-criu

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo 'gomd needs Python 3.10 or newer: make PYTHON=python3.11 ...' >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); } \
	  || { echo 'gomd needs the venv module of Python: on Debian, apt install python3-venv' >&2; exit 1; }
	@touch $@

# The plugin of an editable install is only found with editable_mode=compat.
$(VENV)/.installed: $(VENV)/.made setup.cfg pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e . --config-settings editable_mode=compat
	@touch $@

$(VENV)/.tested: $(VENV)/.made setup.cfg pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]' --config-settings editable_mode=compat
	@touch $@ $(VENV)/.installed

clean:
	$(MAKE) -s -C clients/c clean
	$(MAKE) -s -C clients/java clean
	rm -rf $(VENV) '$(VENV)-fuzz' $(VENV)-oldest tests/page/node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
