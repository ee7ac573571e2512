//go:build tools

// Names the command that this module exists to build, so that `go mod tidy` keeps what it needs.
package actionlint

import _ "github.com/rhysd/actionlint/cmd/actionlint"
