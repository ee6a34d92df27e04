"""Tables for `code`: programming languages by file extension, permissive licenses."""

_EXTENSIONS = """
Ada: adb ads
Assembly: asm s
AWK: awk
Batchfile: bat cmd
C: c h
C#: cs csx
C++: cc cpp cxx hh hpp hxx ipp tpp
Clojure: clj cljc cljs edn
CMake: cmake
COBOL: cbl cob
CoffeeScript: coffee
Common Lisp: cl lisp lsp
Crystal: cr
CSS: css
CUDA: cu cuh
Cython: pxd pyx
D: d
Dart: dart
Dockerfile: dockerfile
Elixir: ex exs
Elm: elm
Emacs Lisp: el
Erlang: erl hrl
F#: fs fsi fsx
Fortran: f f03 f08 f77 f90 f95 for
GLSL: frag glsl vert
Go: go
GraphQL: gql graphql
Groovy: gradle groovy
Haskell: hs lhs
HCL: hcl tf
HTML: htm html xhtml
Idris: idr
Java: java
JavaScript: cjs js jsx mjs
JSON: json jsonl
Julia: jl
Jupyter Notebook: ipynb
Kotlin: kt kts
Lean: lean
Less: less
Lua: lua
Makefile: mak makefile mk
Markdown: markdown md mdx
MATLAB: matlab
Nim: nim nims
Nix: nix
Objective-C: m
Objective-C++: mm
OCaml: ml mli
Pascal: pas pp
Perl: pl pm
PHP: php phtml
PowerShell: ps1 psd1 psm1
Prolog: pro prolog
Protocol Buffer: proto
Python: py pyi pyw
R: r
Racket: rkt
reStructuredText: rst
Ruby: gemspec rake rb
Rust: rs
Sass: sass
Scala: sbt sc scala
Scheme: scm ss
SCSS: scss
Shell: bash ksh sh zsh
Solidity: sol
SQL: sql
Standard ML: sml
Swift: swift
SystemVerilog: sv svh
Tcl: tcl
TeX: bib cls sty tex
Thrift: thrift
TOML: toml
TypeScript: cts mts ts tsx
VBA: bas
Verilog: v
VHDL: vhd vhdl
Vue: vue
XML: xml xsd xsl
YAML: yaml yml
Zig: zig
"""
FILES = {
    f".{extension}": language
    for language, _, extensions in (line.partition(": ") for line in _EXTENSIONS.strip().splitlines())
    for extension in extensions.split()
} | {"dockerfile": "Dockerfile", "makefile": "Makefile"}
"""{extension with its dot, or whole name of a file without one, in lower case: language as GitHub names it}."""

PERMISSIVE = frozenset(
    """
    0BSD AFL-2.1 AFL-3.0 Apache-1.1 Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause BSD-2-Clause-Patent
    BSD-3-Clause BSD-3-Clause-Clear BSD-3-Clause-LBNL BSD-4-Clause BSL-1.0 CC0-1.0 CNRI-Python curl ECL-2.0 EFL-2.0 Fair
    FTL HPND ICU ImageMagick ISC JSON Libpng libpng-2.0 libtiff MIT MIT-0 MIT-CMU MIT-feh MulanPSL-2.0 NCSA NTP
    OLDAP-2.8 OpenSSL PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 Ruby Spencer-94 TCL Unicode-DFS-2016 Unlicense UPL-1.0 Vim
    W3C WTFPL X11 Xnet Zend-2.0 Zlib ZPL-2.1
    """.lower().split()
)
"""SPDX identifiers, in lower case, of licenses that ask for little more than their own text to be kept."""
