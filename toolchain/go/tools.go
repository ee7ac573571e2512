//go:build tools

// Names the command that this module exists to build, so that `go mod tidy` keeps what it needs.
package toolchain

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
