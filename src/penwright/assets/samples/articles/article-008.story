The goose that stands on the harbour wall has been appointed to school crossing duty in Station Road, following a trial of four weeks.

Lower Pell Primary lost its crossing patrol in January, when Mr Gough retired with his knees. The post was advertised twice. The goose began to turn up by itself at half past eight, head teacher Yvonne Akers told governors.

It walks into the middle of the road and spreads its wings. In the trial no vehicle went past it, including two lorries, an ambulance that was not in a hurry, and the driving examiner.

"Drivers would sometimes argue with Mr Gough," Mrs Akers said. "Nobody has yet wanted to argue with this one."

Some parents raised concerns about its manner. One child was hissed at for running, and another for having a shoelace undone. Accidents in the playground have since fallen to none.

The goose will be paid in bread to the value of four pounds a week. It has been offered a coat with reflective strips but has eaten it. A second coat will be made from something less appetising.

@highlight

A goose has been given the job of school crossing patrol in Station Road

@highlight

No vehicle drove past it during a four-week trial

@highlight

It hissed at children for running and playground accidents fell to none

@highlight

The goose will be paid four pounds a week in bread
