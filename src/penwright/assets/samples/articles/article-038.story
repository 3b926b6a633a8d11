A hospital porter has been cautioned for driving a tea trolley at thirty-one miles an hour.

The vehicle was recorded on Wednesday by a camera in the main corridor of the Pell Infirmary, which is a quarter of a mile long and slopes down to Maternity. The limit there is four. Clive Onyango, 39, was on the running board.

He explained that he had been asked to take an urgent cup to a father in bay six, who had gone grey. The brakes had been oiled in error by the same person who oils the wheels.

Witnesses saw the trolley pass Fractures with its urn steaming. It took the bend by the chapel on two castors. A consultant who had been about to step out of Radiology said that he had felt the warmth go by, and that when he looked down he was holding a biscuit.

Mr Onyango came to rest against a pile of pillows. Nothing had been spilled. The father drank his tea and was able to cut the cord.

The child, a girl, is to be called Olive Trolley Banks. The caution will be removed after a year. A small hooter has been fitted in the meantime.

@highlight

A porter drove a tea trolley at thirty-one miles an hour in a hospital

@highlight

He was taking an urgent cup of tea to a father in Maternity

@highlight

No tea was spilled and the baby girl's middle name is Trolley
