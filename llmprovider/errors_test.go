package llmprovider

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestErrorsInTheClientsShape(t *testing.T) {
	cause := errors.New("the reason inside")
	for _, test := range []struct {
		err  Error
		want string
	}{
		{Error{Status: 404, Type: TypeInvalidRequest, Message: "no \"x\" <here>"}, `{"error":{"message":"no \"x\" \u003chere\u003e","type":"invalid_request_error","param":null,"code":null}}`},
		{Error{Status: 503, Type: TypeServer, Code: "a_b", Param: "model", Message: "m", Cause: cause}, `{"error":{"message":"m","type":"server_error","param":"model","code":"a_b"}}`},
	} {
		if got := string(test.err.JSON()); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		w := httptest.NewRecorder()
		if err := test.err.Write(w); err != nil {
			t.Fatal(err)
		}
		if w.Code != test.err.Status || w.Body.String() != test.want || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Content-Length") == "" {
			t.Errorf("written are %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	err := &Error{Message: "m", Cause: cause}
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "the reason inside") {
		t.Errorf("the cause is not in %v", err)
	}
}
