package guard

import (
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

// read reads an event of a stream, whose data is an object, and has the guards look at
// what can be looked at by now. last reports whether the event ends the stream.
func (s *stream) read(e *event, data []byte) (last bool, err error) {
	s.event = e
	s.leaves.reset()
	r := &s.reader
	r.body, r.choiceNo, r.partNo = data, 0, 0
	kind := ""
	var room [24]byte
	for key, value := range jsonscan.Members(data) {
		switch string(memberName(room[:0], key)) {
		case "type":
			kind = string(jsonscan.Plain(value))
		case "index", "contentindex", "summaryindex":
			r.partNo = number(value, 0)
		case "outputindex":
			r.choiceNo = number(value, 0)
		}
	}
	for key, value := range jsonscan.Members(data) {
		name := string(memberName(room[:0], key))
		switch name {
		case "choices", "candidates", "contentblock":
			r.lane, r.calls = s.text, s.toolCalls
			r.responseMember(name, value)
			r.finish()
			r.lane, r.calls = nil, nil
		case "delta":
			s.delta(kind, value)
		default:
			r.responseMember(name, value)
		}
		r.finish()
	}
	if len(s.lanes) > maxLanes {
		if refused := s.tooLong(s.stage.guards); refused != nil {
			return false, refused
		}
		clear(s.lanes)
		clear(s.come)
	}
	if err := s.lookAtLeaves(e, data); err != nil {
		return false, err
	}
	for _, d := range e.deltas {
		if s.due(d.lane) {
			if err := s.look(d.lane, false); err != nil {
				return false, err
			}
		}
	}
	switch kind {
	case "message_stop", "response.completed", "response.incomplete", "response.failed":
		return true, nil
	}
	return false, nil
}

// number is a JSON number as an index, or def.
func number(value []byte, def int) int {
	if n, err := strconv.Atoi(string(value)); err == nil {
		return n
	}
	return def
}

// text adds a piece of a message's text.
func (s *stream) text(name string, value []byte) {
	s.add(laneKey{choice: s.reader.choiceNo, name: name}, false, value)
}

// delta reads what an event of the Responses API, of Anthropic's, or of speech, brings.
func (s *stream) delta(kind string, value []byte) {
	r := &s.reader
	if value[0] != '{' {
		switch {
		case !jsonscan.IsString(value):
			r.later(asContent, value, roleAssistant, 0)
		case strings.Contains(kind, "arguments"):
			s.add(laneKey{choice: r.choiceNo, name: kind}, true, value)
		case strings.HasSuffix(kind, "audio.delta"):
			r.cannotRead(unreadableWords[partAudio])
		default:
			s.add(laneKey{choice: r.choiceNo, name: kind}, false, value)
		}
		return
	}
	var room [24]byte
	for key, member := range jsonscan.Members(value) {
		switch name := string(memberName(room[:0], key)); {
		case name == "partialjson" && jsonscan.IsString(member):
			s.add(laneKey{call: r.partNo, name: name}, true, member)
		case name == "type" || name == "stopreason" || name == "role":
			if !isMachine(member) {
				r.later(asData, member, roleAssistant, 0)
			}
		case name == "signature" && isBase64(jsonscan.Inner(member)):
		case name == "text":
			s.addText("", member)
		default:
			s.addText(name, member)
		}
	}
}

func (s *stream) addText(name string, value []byte) {
	if jsonscan.IsString(value) {
		s.text(name, value)
		return
	}
	s.reader.later(asContent, value, roleAssistant, 0)
}

// toolCalls reads the calls of tools that a chat completion brings in pieces.
func (s *stream) toolCalls(value []byte) {
	if value[0] != '[' {
		s.call(-1, value, true)
		return
	}
	i := 0
	for one := range jsonscan.Elements(value) {
		no := i
		if index := jsonscan.Get(one, "index"); one[0] == '{' && index != nil {
			no = number(index, i)
		}
		s.call(no, one, true)
		i++
	}
}

// call reads one, or what it has under the name of its kind.
func (s *stream) call(no int, value []byte, outer bool) {
	r := &s.reader
	if value[0] != '{' {
		r.later(asCall, value, roleAssistant, 0)
		return
	}
	var room [24]byte
	for key, member := range jsonscan.Members(value) {
		switch name := string(memberName(room[:0], key)); {
		case outer && (name == "function" || name == "custom") && member[0] == '{':
			s.call(no, member, false)
		case name == "arguments" && jsonscan.IsString(member):
			s.add(laneKey{choice: r.choiceNo, call: no, name: "arguments"}, true, member)
		case name == "input" && jsonscan.IsString(member):
			s.add(laneKey{choice: r.choiceNo, call: no, name: "input"}, false, member)
		case name == "id" || name == "type" || name == "index":
			if !isMachine(member) {
				r.later(asData, member, roleAssistant, 0)
			}
		default:
			r.later(asCall, member, roleAssistant, 0)
		}
	}
}
