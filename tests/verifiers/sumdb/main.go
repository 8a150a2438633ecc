// Reads a log as golang.org/x/mod/sumdb would: opens its checkpoints, checks its tiles against the newest, makes every
// record's proof and every older tree's from them, and checks the proofs that it is handed, some of which must not hold.
//
// usage: sumdb FOLDER VKEY < proofs.json
//
// FOLDER holds the log's files by their C2SP paths, and older checkpoints as history/*. A tile's path in sumdb begins
// with its height, "tile/8/0/000"; C2SP's has none.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type claim struct {
	Kind  string   // "record" or "tree"
	Size  int64    // of the newer tree
	Index int64    // of the record, or the size of the older tree
	Root  string   // of the newer tree
	Hash  string   // of the record, or the root of the older tree
	Proof []string // base64
	Holds bool
}

type counts struct {
	Size    int64 `json:"size"`
	Records int   `json:"records"`
	Trees   int   `json:"trees"`
	Held    int   `json:"held"`
	Refused int   `json:"refused"`
}

type files struct{ folder string }

func (f files) Height() int { return height }

func (f files) SaveTiles([]tlog.Tile, [][]byte) {}

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func main() {
	found, err := check(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func check(folder, vkey string) (counts, error) {
	var found counts
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return found, err
	}
	newest, err := open(filepath.Join(folder, "checkpoint"), verifier)
	if err != nil {
		return found, err
	}
	found.Size = newest.N
	reader := tlog.TileHashReader(newest, files{folder})
	root, err := tlog.TreeHash(newest.N, reader)
	if err != nil || root != newest.Hash {
		return found, fmt.Errorf("tree hash: %v, %v", root, err)
	}
	if found.Records, err = records(folder, newest, reader); err != nil {
		return found, err
	}
	if found.Trees, err = trees(folder, newest, reader, verifier); err != nil {
		return found, err
	}
	return found, proofs(&found)
}

func open(path string, verifier note.Verifier) (tlog.Tree, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.SplitN(opened.Text, "\n", 4)
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// records proves each entry by the tiles, from the entry's bytes in its bundle.
func records(folder string, tree tlog.Tree, reader tlog.HashReader) (int, error) {
	for n := int64(0); n < tree.N; {
		tile := tlog.Tile{H: height, L: 0, N: n >> height, W: 1 << height}
		if left := tree.N - n; left < 1<<height {
			tile.W = int(left)
		}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return 0, err
		}
		for ; len(data) > 0; n++ {
			length := int(binary.BigEndian.Uint16(data))
			proof, err := tlog.ProveRecord(tree.N, n, reader)
			if err != nil {
				return 0, err
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(data[2:2+length])); err != nil {
				return 0, fmt.Errorf("record %d: %v", n, err)
			}
			data = data[2+length:]
		}
	}
	return int(tree.N), nil
}

// trees proves each older checkpoint to be a beginning of the newest.
func trees(folder string, newest tlog.Tree, reader tlog.HashReader, verifier note.Verifier) (int, error) {
	names, err := filepath.Glob(filepath.Join(folder, "history", "*"))
	if err != nil {
		return 0, err
	}
	sort.Strings(names)
	for _, name := range names {
		older, err := open(name, verifier)
		if err != nil {
			return 0, err
		}
		proof, err := tlog.ProveTree(newest.N, older.N, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, newest.N, newest.Hash, older.N, older.Hash); err != nil {
			return 0, fmt.Errorf("%s: %v", name, err)
		}
	}
	return len(names), nil
}

func proofs(found *counts) error {
	var claims []claim
	if err := json.NewDecoder(os.Stdin).Decode(&claims); err != nil {
		return err
	}
	for _, c := range claims {
		err := prove(c)
		if (err == nil) != c.Holds {
			return fmt.Errorf("%+v: %v", c, err)
		}
		if c.Holds {
			found.Held++
		} else {
			found.Refused++
		}
	}
	return nil
}

func prove(c claim) error {
	var hashes []tlog.Hash
	for _, text := range append([]string{c.Root, c.Hash}, c.Proof...) {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	if c.Kind == "tree" {
		return tlog.CheckTree(hashes[2:], c.Size, hashes[0], c.Index, hashes[1])
	}
	return tlog.CheckRecord(hashes[2:], c.Size, hashes[0], c.Index, hashes[1])
}
