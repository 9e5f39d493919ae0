package cli

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sidecar-drift/sidecar-drift/auditor/config"
	"github.com/sidecar-drift/sidecar-drift/auditor/inventory"
)

// addAutoscalers adds the flags that say what of Pods' resources is an autoscaler's.
func addAutoscalers(flags *pflag.FlagSet, include *bool, further *[]config.Autoscaler) {
	addSwitch(flags, include, "include-autoscaled", "Count resources that an autoscaler sets, too. They move all the time: a rollout by them never ends.")
	addList(flags, further, parseAutoscaler, "autoscaler", "What else sizes new Pods, besides VerticalPodAutoscalers and DatadogPodAutoscalers, as a `rule`: annotation=KEY, which admission adds to them; or resource=RESOURCE.VERSION.GROUP, objects that refer to the workload by spec.targetRef, or by another field (,targetRef=PATH), but for those that size nothing (,unless=PATH=VALUE). Repeatable.")
}

func (s *selection) autoscalerRules() inventory.AutoscalerRules {
	return config.AutoscalerRules(s.autoscalers)
}

// parseAutoscaler reads annotation=KEY or resource=RESOURCE.VERSION.GROUP and what goes
// with it.
func parseAutoscaler(text string) (config.Autoscaler, error) {
	var a config.Autoscaler
	fields := map[string]*string{"annotation": &a.Annotation, "resource": &a.Resource, "targetRef": &a.TargetRef, "unless": &a.Unless}
	for item := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(item, "=")
		field := fields[name]
		if field == nil || *field != "" || value == "" {
			return a, errors.New("give annotation=KEY, or resource=RESOURCE.VERSION.GROUP[,targetRef=PATH][,unless=PATH=VALUE]")
		}
		*field = value
	}
	return a, a.Check()
}
