// What the kernel knows of this process: memory, processor time, descriptors. Any thread.
#ifndef HOLDFAST_HOST_METRICS_PROCESS_NUMBERS_H_
#define HOLDFAST_HOST_METRICS_PROCESS_NUMBERS_H_

#include "host/metrics/metrics_text.h"

namespace holdfast::host {

// Fills kResidentBytes, kCpuTime, kDescriptors, kDescriptorsMax. What the kernel does not say stays 0.
// Cost: reads /proc; a few microseconds, and one for each open descriptor.
void AddProcessNumbers(HostValues* values);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_PROCESS_NUMBERS_H_
