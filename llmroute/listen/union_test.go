package listen

import (
	"fmt"
	"testing"
)

func TestListenersKeepWhatTheyExpect(t *testing.T) {
	if got := union([]string{"b_", "a_"}, []string{"b_", "c.d"}); fmt.Sprint(got) != "[a_ b_ c.d]" {
		t.Errorf("got %v", got)
	}
}
